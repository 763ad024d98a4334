"""Small data sets in the layouts in which the real ones are published."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from datamodules.impressions.kuairand import CATEGORICAL_COLUMNS

_DAY = 86_400_000
_IN_LOG = ("user_id", "video_id", "tab", "hourmin")
_OF_VIDEO = ("author_id", "upload_type", "music_id", "tag")


def kuairand(folder: Path, rows: int = 400, seed: int = 0) -> None:
    """Write a log of the days from 1 to 8 May with features of 8 users and 10 videos."""
    generator = np.random.default_rng(seed)
    day, click = generator.integers(1, 9, size=rows), generator.integers(2, size=rows)
    log = {
        "user_id": generator.integers(8, size=rows),
        "video_id": generator.integers(10, size=rows),
        "date": 20220500 + day,
        "hourmin": 100 * generator.integers(24, size=rows),
        "time_ms": day * _DAY + generator.integers(_DAY, size=rows),
        "is_click": click,
        "long_view": click * generator.integers(2, size=rows),
        "duration_ms": generator.integers(1, 100_000, size=rows),
        "tab": generator.integers(3, size=rows),
    }
    pd.DataFrame(log).to_csv(folder / "log_standard_5_01_to_5_08_pure.csv", index=False)
    others = [name for name in CATEGORICAL_COLUMNS if name not in _IN_LOG and name not in _OF_VIDEO]
    users = pd.DataFrame({"user_id": range(8), "register_days": range(8)} | {name: list("abcdabcd") for name in others})
    users.to_csv(folder / "user_features_pure.csv", index=False)
    videos = pd.DataFrame({"video_id": range(10)} | {name: list("vwxyzvwxyz") for name in _OF_VIDEO})
    videos.to_csv(folder / "video_features_basic_pure.csv", index=False)


def retailrocket(folder: Path, visits: int = 200, seed: int = 0) -> None:
    """Write visits an hour apart: two views, at times followed by the cart and a purchase."""
    generator = np.random.default_rng(seed)
    rows = []
    for visit in range(visits):
        kinds = ["view", "view", "addtocart", "transaction"][: generator.integers(2, 5)]
        item, visitor = generator.integers(10, 20), generator.integers(5)
        rows += [(1_433_000_000_000 + visit * 3_600_000 + 1000 * i, visitor, k, item) for i, k in enumerate(kinds)]
        rows.append((rows[-1][0] + 1000, visitor, "view", generator.integers(10, 20)))
    events = pd.DataFrame(rows, columns=["timestamp", "visitorid", "event", "itemid"]).assign(transactionid=None)
    events.to_csv(folder / "events.csv", index=False)
    known = [(1_432_000_000_000, item, "categoryid", str(100 + item % 3)) for item in range(10, 20)]
    properties = pd.DataFrame(known, columns=["timestamp", "itemid", "property", "value"])
    properties.to_csv(folder / "item_properties_part1.csv", index=False)
    (folder / "category_tree.csv").write_text("categoryid,parentid\n100,7\n101,7\n102,\n7,\n")


def aliexpress(folder: Path, rows: int = 200, seed: int = 0) -> None:
    """Write searches of four rows with two fields and two features."""
    generator = np.random.default_rng(seed)
    for part in ("train", "test"):
        click = generator.integers(2, size=rows)
        table = {"search_id": np.arange(rows) // 4}
        table |= {f"categorical_{i}": generator.integers(3, size=rows) for i in (1, 2)}
        table |= {f"numerical_{i}": generator.random(rows).round(3) for i in (1, 2)}
        table |= {"click": click, "conversion": click * generator.integers(2, size=rows)}
        pd.DataFrame(table).to_csv(folder / f"aliexpress_{part}_XX.csv", index=False)


WRITERS: dict[str, Callable[[Path], None]] = {
    "kuairand": kuairand,
    "retailrocket": retailrocket,
    "aliexpress": aliexpress,
}
