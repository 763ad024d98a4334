"""A session has one user, also where the ids of sessions are counted anew for every user."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datamodules import ImpressionsDataModule, SessionEnv
from datamodules.impressions.groups import groups_of, sessions_of_users
from datamodules.sessions.transitions import logged_transitions
from datamodules.tables.categories import as_categories

USERS = ["a", "b", "a", "c", "b", "a", "b", "a"]
VISITS = [1, 1, 1, 5, 2, 2, 2, 1]


def frame() -> pd.DataFrame:
    """Return ten rows of every visit's row above, so that all splits have some of each user."""
    rows = np.repeat(np.arange(len(USERS)), 10)
    table = pd.DataFrame({"who": USERS, "visit": VISITS}).iloc[rows].reset_index(drop=True)
    table["unique"] = table["who"] + "/" + table["visit"].astype(str)
    return table.assign(when=np.random.default_rng(0).permutation(len(table)), click=np.arange(len(table)) % 2)


def module(path: Path, session: str) -> ImpressionsDataModule:
    frame().to_csv(path / "table.csv", index=False)
    return ImpressionsDataModule(
        str(path / "table.csv"),
        categorical_columns=["who"],
        tasks=["click"],
        session_column=session,
        user_column="who",
        time_column="when",
        ratios=(0.5, 0.25, 0.25),
    )


def test_ids_that_restart_for_every_user_are_sessions_of_one_user(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    restarting, unique = module(tmp_path, "visit"), module(tmp_path, "unique")
    with caplog.at_level(logging.INFO):
        restarting.setup()
        unique.setup()
    (said,) = [record.message for record in caplog.records if "session ids are shared" in record.message]
    assert "table.csv: 2 of 3 session ids are shared by several users" in said
    assert "5 in all" in said
    for name in restarting.rows:
        found, expected = (pd.factorize(each._rows(name).session.numpy())[0] for each in (restarting, unique))
        np.testing.assert_array_equal(found, expected)


def test_no_transition_leads_to_another_user(tmp_path: Path) -> None:
    rows = module(tmp_path, "visit")._rows("train")
    logged = logged_transitions(rows)
    assert not logged.done.all()
    assert bool((logged.categorical == logged.next_categorical).all())
    session = int(rows.session[0])
    environment = SessionEnv(rows, field_sizes=(4,), tasks=["click"], sequence=True)
    _, information = environment.reset(options={"session": session})
    assert information["session"] == session


def test_ids_of_such_sessions_are_those_of_the_table(tmp_path: Path) -> None:
    data = module(tmp_path, "visit")
    decoded = data.decode(data._rows("test"))
    expected = frame().sort_values("when").tail(20)
    assert decoded["session"].tolist() == expected["visit"].tolist()
    assert decoded["user"].tolist() == expected["who"].tolist()


def test_sessions_of_one_user_each_stay_as_they_are() -> None:
    sessions, users = (groups_of(as_categories(pd.Series(each))) for each in ([3, 1, 3, 2], ["b", "a", "b", "a"]))
    assert sessions_of_users(sessions, users, "table") is sessions


def test_a_missing_session_is_shared_by_nobody() -> None:
    sessions, users = (
        groups_of(as_categories(pd.Series(each))) for each in (["x", None, None, "y"], ["b", "a", "b", "a"])
    )
    assert sessions_of_users(sessions, users, "table") is sessions
