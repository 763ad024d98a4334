from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datamodules import RetailRocket
from datamodules.impressions.retailrocket_events import as_of, sessions_by_inactivity, viewed_items
from datamodules.tables.categories import as_categories

MINUTE = 60_000
START = 1_433_000_000_000


def events(size: int = 400, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "timestamp": START + generator.integers(0, 3_000, size=size) * MINUTE,
            "visitorid": generator.integers(5, size=size),
            "event": generator.choice(["view", "view", "view", "addtocart", "transaction"], size=size),
            "itemid": generator.integers(10, 14, size=size),
            "transactionid": None,
        }
    )


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    events().to_csv(tmp_path / "events.csv", index=False)
    properties = [
        (START - 5, 10, "categoryid", "100"),
        (START + 1500 * MINUTE, 10, "categoryid", "200"),
        (START - 5, 11, "categoryid", "100"),
        (START - 5, 11, "790", "n1.000 text"),
        (START - 5, 10, "available", "1"),
    ]
    columns = ["timestamp", "itemid", "property", "value"]
    for part, rows in enumerate((properties[:2], properties[2:]), start=1):
        pd.DataFrame(rows, columns=columns).to_csv(tmp_path / f"item_properties_part{part}.csv", index=False)
    (tmp_path / "category_tree.csv").write_text("categoryid,parentid\n100,7\n200,\n7,\n")
    return tmp_path


def expected_rows(table: pd.DataFrame, gap: int) -> list[tuple[int, int, int, bool, bool]]:
    """Return visitor, first view, item and labels by walking through every visitor's events."""
    rows = []
    for visitor, mine in table.sort_values("timestamp", kind="stable").groupby("visitorid"):
        session: list[pd.Series] = []
        sessions = []
        for _, event in mine.iterrows():
            if session and event.timestamp - session[-1].timestamp > gap:
                sessions.append(session)
                session = []
            session.append(event)
        for events_of_session in [*sessions, session]:
            views: dict[int, int] = {}
            for event in events_of_session:
                if event.event == "view":
                    views.setdefault(event.itemid, event.timestamp)
            for item, seen in views.items():
                after = {e.event for e in events_of_session if e.itemid == item and e.timestamp >= seen}
                rows.append((visitor, seen, item, "addtocart" in after, "transaction" in after))
    return sorted(rows)


def test_rows_equal_those_of_a_walk_through_the_events() -> None:
    table = events()
    columns = {name: as_categories(table[name]) for name in ("visitorid", "itemid", "event")}
    found = viewed_items(table.assign(**columns), 30 * MINUTE)
    keys = [found[name].astype(int) for name in ("visitorid", "timestamp", "itemid")]
    labels = [found[name].astype(bool) for name in ("click", "pay")]
    assert sorted(zip(*keys, *labels, strict=True)) == expected_rows(table, 30 * MINUTE)
    assert found["pay"].sum() > 3
    assert found["click"].sum() > 3


def test_features_know_only_what_went_before() -> None:
    table = events()
    columns = {name: as_categories(table[name]) for name in ("visitorid", "itemid", "event")}
    found = viewed_items(table.assign(**columns), 30 * MINUTE)
    for _, session in found.groupby("session", observed=True):
        assert session["timestamp"].is_monotonic_increasing
        np.testing.assert_allclose(np.expm1(session["views_before"]), range(len(session)), atol=1e-4)
        seconds = (session["timestamp"] - session["session_begin"]) / 1000
        np.testing.assert_allclose(np.expm1(session["time_in_session"]), seconds, rtol=1e-4)


def test_session_ends_after_the_gap_and_not_at_it() -> None:
    visitor, time = np.array([1, 0, 1, 1, 0]), np.array([0, 5, 30, 61, 4])
    assert sessions_by_inactivity(visitor, time, 30).tolist() == [1, 0, 1, 2, 0]


def test_property_is_the_last_one_by_the_event() -> None:
    properties = pd.DataFrame(
        {"timestamp": [5, 10, 5], "itemid": ["1", "1", "2"], "property": "categoryid", "value": ["a", "b", "c"]}
    )
    items = as_categories(pd.Series([1, 1, 1, 1, 2, 3]))
    found = as_of(properties, "categoryid", items, pd.Series([12, 10, 9, 4, 7, 7]))
    assert found.astype(object).fillna("-").tolist() == ["b", "b", "a", "-", "c", "-"]


def test_categories_are_as_of_the_view_and_have_their_parent(shop: Path) -> None:
    table = RetailRocket(str(shop)).read_impressions().table.astype({"itemid": int})
    late = table["timestamp"] >= START + 1500 * MINUTE
    expected = np.select([(table["itemid"] == 10) & late, table["itemid"].isin([10, 11])], ["200", "100"], "-")
    assert table["categoryid"].astype(object).fillna("-").tolist() == expected.tolist()
    parents = table["parentid"].astype(object).fillna("-")
    assert parents.tolist() == np.where(expected == "100", "7", "-").tolist()
    assert (table["available"].notna() == (table["itemid"] == 10)).all()


def test_splits_are_6_2_2_by_time_with_whole_sessions(shop: Path) -> None:
    data = RetailRocket(str(shop), seed=0)
    impressions = data.read_impressions()
    sizes = [len(rows) for rows in impressions.rows.values()]
    np.testing.assert_allclose(np.array(sizes) / sum(sizes), [0.6, 0.2, 0.2], atol=0.03)
    sessions = [set(impressions.table["session"].iloc[rows]) for rows in impressions.rows.values()]
    assert not sessions[0] & sessions[1]
    assert not sessions[1] & sessions[2]
    assert data.tasks == ("click", "pay")
    assert list(data.decode(next(iter(data.predict_dataloader())))) == ["session", "user", "item"]


def test_unknown_events_and_missing_files_are_named(shop: Path) -> None:
    text = (shop / "events.csv").read_text()
    (shop / "events.csv").write_text(text.replace("addtocart", "wish"))
    with pytest.raises(ValueError, match=r"events\.csv has the event 'wish'"):
        RetailRocket(str(shop)).setup()
    (shop / "events.csv").write_text(text.replace("view", "addtocart"))
    with pytest.raises(ValueError, match=r"events\.csv has no event 'view'"):
        RetailRocket(str(shop)).setup()
    (shop / "events.csv").write_text(text)
    (shop / "category_tree.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"category_tree\.csv"):
        RetailRocket(str(shop)).setup()
    for path in shop.glob("item_properties*"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no item_properties\*\.csv"):
        RetailRocket(str(shop)).setup()


def test_times_that_a_program_wrote_as_floats_are_those(shop: Path) -> None:
    expected = RetailRocket(str(shop)).read_impressions().table
    table = events()
    table["timestamp"] = table["timestamp"].astype(float)
    table.to_csv(shop / "events.csv", index=False, float_format="%.1f")
    pd.testing.assert_frame_equal(RetailRocket(str(shop)).read_impressions().table, expected)
    table.loc[7, "timestamp"] += 0.5
    table.to_csv(shop / "events.csv", index=False, float_format="%.1f")
    with pytest.raises(ValueError, match=r"events\.csv: column 'timestamp' holds \d+\.5, which is no whole number"):
        RetailRocket(str(shop)).setup()


def test_property_table_without_its_columns_is_named(shop: Path) -> None:
    (shop / "item_properties_part1.csv").write_text("timestamp,itemid,property\n1,2,categoryid\n")
    with pytest.raises(ValueError, match=r"item_properties_part1\.csv has no column 'value'"):
        RetailRocket(str(shop)).setup()


@pytest.mark.filterwarnings("ignore:.*pay without click", "ignore:.*'available' has no filled cell")
def test_published_layout_is_read(real_data: Path) -> None:
    data = RetailRocket(str(real_data / "retailrocket-5000"), seed=0)
    data.setup("fit")
    raw = pd.read_csv(real_data / "retailrocket-5000" / "events.csv")
    views = raw[raw["event"] == "view"]
    sizes = [len(rows.row) for rows in data.rows.values()]
    assert views.drop_duplicates(["visitorid", "itemid"]).shape[0] <= sum(sizes) <= len(views)
    clicks = sum(float(rows.label[:, 0].sum()) for rows in data.rows.values())
    assert 0 < clicks <= (raw["event"] == "addtocart").sum()
