"""Follows a page whose commands are no single story: they are run in small, or parsed."""

import contextlib
import re
import runpy
from pathlib import Path

import numpy as np
import pandas as pd

from lightning_modules.cli.main import main
from tests.docs.pages import Block, Reader, checkout
from tests.multitask.published_layouts import WRITERS

_TRAINER = [
    *("--trainer.max_epochs=1", "--trainer.check_val_every_n_epoch=1"),
    *("--trainer.limit_train_batches=2", "--trainer.limit_val_batches=2"),
]
_SMALL = {
    "fit": _TRAINER,
    "search": [
        *("--rounds=1", "--candidates=2", "--warmup_updates=1", "--most_draws=2048", "--references=[]", "--workers=1"),
        *("--tuning=null", "--finalists=1", "--finalist_seeds=2", "--finalist_epochs=1"),
        *_TRAINER,
    ],
    "check": ["--figures=1"],
    "compare": [
        *("--seeds=1", "--top=1", "--losses=[MSE]", "--learning_rates=[1e-2]", "--weight_decays=[0]"),
        *("--extensions=0", "--refinements=0", "--resamples=20", *_TRAINER),
    ],
    "polish": [
        *("--seeds=1", "--agent_epochs=1", "--fine_tuning_epochs=1", "--variants=[one_minus_q]", "--weightings=[]"),
        *("--resamples=20", *_TRAINER),
    ],
}
#: What is not there, or takes long and is tested elsewhere: other machines and devices, workers, the network, libraries
#: that are optional.
_ELSEWHERE = re.compile(r"ray|gpu|ddp|download|GradientAggregation|\bprocess\b")


class CommandReader(Reader):
    """Parses every command of a page, in a folder with the data that pages name."""

    def follow(self, block: Block) -> None:
        """Do what a block says; YAML without a file name is taken as the settings of a ``fit``."""
        if block.language == "yaml" and not block.path:
            (self.folder / "block.yaml").write_text(block.text, encoding="utf-8")
            self.train(["fit", "--config=block.yaml", "--data=SyntheticInteractions", "--print_config"])
        else:
            super().follow(block)

    def options(self, words: list[str]) -> list[str]:
        """Return what is added to a command."""
        return ["--print_config"]

    def train(self, arguments: list[str]) -> None:
        """Run a command line in this process."""
        with contextlib.chdir(self.folder):
            assert main(arguments) == 0, arguments

    def _call(self, words: list[str], given: str = "") -> None:
        """Leave what sets up or looks at results to the reader; the files that it names are there."""
        assert all(Path(word).exists() for word in words if word.endswith(".txt")), words

    def _python(self, words: list[str]) -> None:
        if words[0] == "train.py":
            self.train([*words[1:], *self.options(words)])
        elif words[0].endswith(".py"):
            with contextlib.chdir(self.folder):
                runpy.run_path(words[0], run_name="__main__")


class CommandRunner(CommandReader):
    """Runs every command as it is, in this process."""

    def options(self, words: list[str]) -> list[str]:
        """Return nothing to add."""
        return []


class Skimmer(CommandReader):
    """Runs every command of a page in small, in its order; what needs other machines is parsed."""

    def options(self, words: list[str]) -> list[str]:
        """Return the options that make a command small."""
        if any(_ELSEWHERE.search(word) for word in words):
            return super().options(words)
        small = _SMALL.get(words[1], [])
        # Models that rank catalogues take no pointwise loss.
        is_top_n = any("top_n" in word for word in words)
        return [each for each in small if not (is_top_n and each.startswith("--losses"))]


def folder_with_data(folder: Path) -> Path:
    """Make a checkout with small tables where pages have theirs, and return it."""
    checkout(folder)
    shop = _shop(np.random.default_rng(0))
    shop.to_parquet(folder / "shop.parquet", index=False)
    split = folder / "data" / "ml100k01-1-5"
    split.mkdir(parents=True)
    columns = {"customer": "uid", "product": "iid", "bought": "label"}
    rows = shop[[*columns]].rename(columns=columns)
    for part, chosen in (("train", rows), ("validation", rows[:500]), ("test", rows[500:])):
        chosen.to_csv(split / f"ml100k01-1-5.{part}.csv", sep="\t", index=False)
    (folder / "data" / "kuairand-pure").mkdir()
    WRITERS["kuairand"](folder / "data" / "kuairand-pure")
    return folder


def _shop(generator: np.random.Generator, rows: int = 1000) -> pd.DataFrame:
    clicked = generator.integers(2, size=rows)
    table = {
        "customer": generator.integers(20, size=rows),
        "product": generator.integers(30, size=rows),
        "visit": np.arange(rows) // 4,
        "when": np.arange(rows),
        "price": generator.random(rows),
        "clicked": clicked,
        "bought": clicked * generator.integers(2, size=rows),
    }
    return pd.DataFrame(table)
