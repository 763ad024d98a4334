"""Work goes on with the data that it was begun with, and refuses others by saying what differs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.common.study_comparison import differences
from lightning_modules.cli.main import main
from lightning_modules.core.run_config import DATA_NAME
from tests.cli.cli_helpers import MODEL, TRAINER

COLUMNS = ["--data.user_column=user", "--data.item_column=item", "--data.root=shop.csv"]
TABLE = ["--data=InteractionsDataModule", *COLUMNS, *MODEL, *TRAINER]
RANDOM = ["--search.strategy=RandomSearch", "--search.warmup_updates=0", "--search.references=[BCE]"]
SEARCH = ["search", *TABLE, *RANDOM, "--search.candidates=2", "--search.draws=256", "--search.root=run"]
GRID = ["--learning_rates", "1e-2", "--weight_decays", "0", "--extensions", "0", "--refinements", "0"]
FIT = ["fit", *TABLE, "--trainer.callbacks+=LastCheckpoint", "--trainer.default_root_dir=run"]
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


@pytest.fixture
def checkpoint() -> Path:
    """The checkpoint of a training that was begun."""
    table().to_csv("shop.csv", index=False)
    assert main([*FIT, "--trainer.max_epochs=1"]) == 0
    return next(Path("run").rglob("last.ckpt"))


def test_a_fit_goes_on_with_its_data_alone(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for change, words in OTHERS:
        change(table()).to_csv("shop.csv", index=False)
        for path in ("last", str(checkpoint)):
            assert main([*FIT, "--trainer.max_epochs=2", f"--ckpt_path={path}"]) == 1
            said = capsys.readouterr().err
            assert "the training of this checkpoint was begun with other data: " in said
            assert words in said
    table().to_csv("shop.csv", index=False)
    assert main([*FIT, "--trainer.max_epochs=2", "--ckpt_path=last"]) == 0


def test_a_model_is_used_on_other_rows_but_not_with_other_ids(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = ["test", *TABLE, f"--ckpt_path={checkpoint}"]
    labels_turned(table()).to_csv("shop.csv", index=False)
    assert main(test) == 0
    user_renamed(table()).to_csv("shop.csv", index=False)
    capsys.readouterr()
    assert main(test) == 1
    assert "other users (as many, 30)" in capsys.readouterr().err


def test_a_comparison_takes_a_study_s_data_only_as_they_were(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table().to_csv("shop.csv", index=False)
    assert main(BEGIN["search"]) == 0
    shutil.move("run", "study")
    labels_turned(table()).to_csv("shop.csv", index=False)
    compare = ["compare", "--study", "study", *GRID, "--losses", "MSE", "--resamples=50", "--seeds=1", "--top=1"]
    short = ["--trainer.max_epochs=1", "--trainer.enable_progress_bar=false", "--root=run"]
    capsys.readouterr()
    assert main([*compare, *short]) == 1
    said = capsys.readouterr().err
    assert "'study' was begun with other data: train, validation, test: other values of label" in said
    assert "name these by another path with --data" in said
    assert not Path("run").exists()
    # Other data are what a comparison may well be of.
    shutil.copy("shop.csv", "other.csv")
    assert main([*compare, *short, "--data.root=other.csv"]) == 0


POLISH = [
    *("polish", "--model=ESMM", "--model.embedding_dim=4", "--model.bottom_dims=[8]", "--model.tower_dims=[4]"),
    *("--data=ImpressionsDataModule", "--data.root=shop.csv", "--data.categorical_columns=[user,item]"),
    *("--data.tasks=[label,bought]", "--data.user_column=user", *TRAINER, "--trainer.devices=1", "--weightings=[]"),
    *("--fine_tuning_epochs=1", "--resamples=50", "--root=run", "--from_scratch=false"),
    *("--agent_epochs=1", "--agent_rows=128", "--agent=DDPG", "--polish.agent.embed_dim=4"),
    *("--polish.agent.bottom_mlp_dims=[8]", "--polish.agent.tower_mlp_dims=[4]"),
]


def impressions() -> pd.DataFrame:
    rows = table()
    return rows.assign(bought=rows["label"] * (rows["item"] % 2))


def test_a_polish_goes_on_with_its_data_and_with_critics_of_its_data_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    impressions().to_csv("shop.csv", index=False)
    assert main([*POLISH, "--seeds=1", "--variants=[minus_q]"]) == 0
    critics = ["--critics=run/seed_42/critics.ckpt", "--seeds=1", "--variants=[minus_q]", "--root=other"]
    for change, words in OTHERS:
        change(impressions()).to_csv("shop.csv", index=False)
        if change is user_renamed:
            words = "other categories of user"
        if change is reversed_order:
            words = "other values of"
        capsys.readouterr()
        assert main([*POLISH, "--seeds=2", "--variants=[minus_q]"]) == 1
        said = capsys.readouterr().err
        assert "'run' was begun with other data: " in said
        assert words in said
        assert main([*POLISH, *critics]) == 1
        assert "'run/seed_42/critics.ckpt' was begun with other data: " in capsys.readouterr().err
    impressions().to_csv("shop.csv", index=False)
    assert main([*POLISH, "--seeds=2", "--variants=[]"]) == 0
    assert main([*POLISH, *critics]) == 0
