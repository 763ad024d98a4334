"""Work goes on with the data that it was begun with, and refuses others by saying what differs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_helpers import MODEL, TRAINER

from benchmarks.study_comparison import differences
from lightning_modules.cli import main
from lightning_modules.continuation import DATA_NAME

COLUMNS = ["--data.user_column=user", "--data.item_column=item", "--data.root=shop.csv"]
TABLE = ["--data=InteractionsDataModule", *COLUMNS, *MODEL, *TRAINER]
RANDOM = ["--search.strategy=RandomSearch", "--search.warmup_updates=0", "--search.references=[BCE]"]
SEARCH = ["search", *TABLE, *RANDOM, "--search.candidates=2", "--search.draws=256", "--search.root=run"]
GRID = ["--learning_rates", "1e-2", "--weight_decays", "0", "--extensions", "0", "--refinements", "0"]
COMPARE = ["compare", *TABLE, *GRID, "--losses", "MSE", "--resamples", "50", "--root", "run"]
BEGIN = {"search": [*SEARCH, "--search.rounds=1"], "compare": [*COMPARE, "--seeds", "1"]}
GO_ON = {"search": [*SEARCH, "--search.rounds=2"], "compare": [*COMPARE, "--seeds", "2"]}


def table() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    user, item = (generator.integers(0, high, 600) for high in (30, 20))
    label = (generator.random(600) < 1 / (1 + np.exp(user / 10 - item / 10))).astype(int)
    return pd.DataFrame({"user": [f"u{each}" for each in user], "item": item, "label": label})


def labels_turned(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(label=1 - rows["label"])


def user_renamed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(user=rows["user"].replace("u29", "u290"))


def reversed_order(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[::-1]


def fewer(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[:-50]


#: Other tables, and what must be said of them.
OTHERS: list[tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = [
    (labels_turned, "other values of label"),
    (user_renamed, "other users (as many, 30)"),
    (reversed_order, "the same rows are divided otherwise among the splits"),
    (fewer, "440 rows in place of 480"),
]


@pytest.fixture(params=BEGIN)
def verb(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A verb, of which the folder here holds a run that was begun."""
    name: str = request.param
    begun = _BEGUN.get(name) or tmp_path_factory.mktemp(name)
    if name not in _BEGUN:
        table().to_csv("shop.csv", index=False)
        assert main(BEGIN[name]) == 0
        shutil.copytree("run", begun / "run")
        _BEGUN[name] = begun
    shutil.rmtree("run", ignore_errors=True)
    shutil.copytree(begun / "run", "run")
    return name


_BEGUN: dict[str, Path] = {}


def written() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path("run").rglob("*") if path.is_file() and path.name != "lock"}


@pytest.mark.parametrize(("change", "words"), OTHERS)
def test_other_data_are_refused(
    verb: str, change: Callable[[pd.DataFrame], pd.DataFrame], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(table()).to_csv("shop.csv", index=False)
    before = written()
    assert main(GO_ON[verb]) == 1
    said = capsys.readouterr().err
    assert "'run' was begun with other data: " in said
    assert words in said
    assert "Restore the data as they were, or name a new folder" in said
    changed = {name for name, content in written().items() if before.get(name) != content}
    assert changed <= {"run/config.yaml"}


def test_the_same_data_go_on_as_if_never_stopped(verb: str) -> None:
    table().to_csv("shop.csv", index=False)
    assert main(GO_ON[verb]) == 0
    shutil.move("run", "stopped")
    assert main(GO_ON[verb]) == 0
    if verb == "search":
        assert differences(Path("run"), Path("stopped")) == []
        return
    for name in ("results.csv", "trainings.csv"):
        whole, stopped = (pd.read_csv(Path(root) / name).drop(columns="seconds") for root in ("run", "stopped"))
        order = ["loss", "seed"]
        whole, stopped = (each.sort_values(order).reset_index(drop=True) for each in (whole, stopped))
        pd.testing.assert_frame_equal(whole, stopped, check_exact=True)


@pytest.mark.filterwarnings("ignore:whether the data")
def test_a_folder_without_a_fingerprint_goes_on_and_says_so(verb: str, recwarn: pytest.WarningsRecorder) -> None:
    table().to_csv("shop.csv", index=False)
    (Path("run") / DATA_NAME).unlink()
    with pytest.warns(UserWarning, match="whether the data are those that 'run' was begun with cannot be checked"):
        assert main(GO_ON[verb]) == 0
