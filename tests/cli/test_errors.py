"""What goes wrong is said in a message and an exit status, without a traceback."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from lightning_modules.cli.main import main
from lightning_modules.recommenders import BiasedMF
from lightning_modules.search import ledger
from lightning_modules.search.evaluation import TrialEvaluator
from lightning_modules.utilities import compiled
from tests.cli.cli_helpers import DATA, MODEL, REFERENCES, SEARCH, STUDY, TRAINER, candidates, write_split

FIT = ["fit", *MODEL, *TRAINER]
Failure = Callable[[list[str], int], str]
pytestmark = pytest.mark.usefixtures("_undrawn")


@pytest.fixture
def failure(capsys: pytest.CaptureFixture[str]) -> Failure:
    """Run a command line that fails with a status, and return what it says."""

    def run(arguments: list[str], status: int) -> str:
        assert main(arguments) == status
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return said[said.index("error: ") :] if "error: " in said else said

    return run


def before_child(monkeypatch: pytest.MonkeyPatch, act: Callable[[int, Any], None]) -> None:
    """Call ``act`` with the number of the child, from 0, and the child before it is trained."""
    fit, number = TrialEvaluator._fit, iter(range(10_000))

    def acting(self: TrialEvaluator, child: Any, *arguments: Any) -> None:
        act(next(number), child)
        fit(self, child, *arguments)

    monkeypatch.setattr(TrialEvaluator, "_fit", acting)
    monkeypatch.setattr(compiled, "find_spec", lambda _: None)


def on(root: Path, *options: str) -> list[str]:
    return [*FIT, "--data=InteractionsDataModule", f"--data.root={root}", *options]


def test_missing_file(failure: Failure, tmp_path: Path) -> None:
    said = failure(on(tmp_path / "none"), 1)
    assert f"there is no {tmp_path / 'none'}" in said


def test_missing_part_of_a_split(failure: Failure, tmp_path: Path) -> None:
    (write_split(tmp_path / "shop") / "shop.test.csv").unlink()
    said = failure(on(tmp_path / "shop"), 1)
    assert "shop.test.csv" in said
    assert "shop.train.csv" in said


def test_missing_column(failure: Failure, tmp_path: Path) -> None:
    said = failure(on(write_split(tmp_path / "shop"), "--data.user_column=user_id"), 1)
    assert "has no column 'user_id'" in said
    assert "Did you mean 'uid'?" in said


def test_label_that_is_neither_0_nor_1(failure: Failure, tmp_path: Path) -> None:
    said = failure(on(write_split(tmp_path / "shop", train=(0, 1, 2))), 1)
    assert "shop.train.csv, line 4: column 'label' is '2'" in said
    assert "rating_column" in said


def test_rating_that_is_no_number(failure: Failure, tmp_path: Path) -> None:
    root = write_split(tmp_path / "shop", train=(1, "good"))
    said = failure(on(root, "--data.rating_column=label"), 1)
    assert "shop.train.csv, line 3: column 'label' is 'good', which is no number" in said


def test_empty_split(failure: Failure, tmp_path: Path) -> None:
    said = failure(on(write_split(tmp_path / "shop", validation=())), 1)
    assert "shop.validation.csv has no rows" in said


@pytest.mark.filterwarnings("ignore:AUC is undefined")
def test_auc_of_one_class_is_undefined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_split(tmp_path / "shop", validation=(1,))
    with pytest.warns(UserWarning, match="validation rows of .* have label 1: AUC is undefined"):
        assert main(["validate", *MODEL, *TRAINER, "--data=InteractionsDataModule", f"--data.root={root}"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "val/auc" in line]
    assert "nan" in line


@pytest.mark.filterwarnings("ignore:.*AUC is undefined")
def test_an_alternating_search_that_cannot_start_leaves_the_folder_free(failure: Failure) -> None:
    said = failure([*SEARCH, "--search.alternate=true", "--search.monitor=val/acu", "--search.root=study"], 1)
    assert "'val/acu' is not logged" in said
    assert "val/auc" in said
    assert not Path("study", "ledger.sqlite").exists()
    assert main([*SEARCH, "--search.alternate=true", "--search.rounds=1", "--search.root=study"]) == 0


def test_search_refuses_an_undefined_reward(failure: Failure, tmp_path: Path) -> None:
    root = write_split(tmp_path / "shop", validation=(1,))
    options = ["--data=InteractionsDataModule", f"--data.root={root}", "--search.holdout=0", "--search.root=study"]
    said = failure([*[each for each in SEARCH if each not in DATA], *options], 1)
    assert "BCE could not be trained (non-finite)" in said
    # Nothing was trained, so the folder is free for the corrected command.
    assert not Path("study", "ledger.sqlite").exists()


def test_formula_that_does_not_parse(failure: Failure) -> None:
    said = failure([*FIT, *DATA, "--model.loss=FormulaLoss", "--model.loss.formula=(pred - label"], 1)
    assert "character 14" in said
    assert said.splitlines()[1:] == ["  (pred - label", "               ^"]


def test_unknown_operator_in_a_formula(failure: Failure) -> None:
    said = failure([*FIT, *DATA, "--model.loss=FormulaLoss", "--model.loss.formula=-lgo(pred)"], 1)
    assert said.startswith("error: formula, character 2: unknown name 'lgo'")
    assert "did you mean log?" in said


def test_unknown_operator_in_the_space(failure: Failure) -> None:
    said = failure([*SEARCH, "--search.space.operators=[add, cosine]"], 1)
    assert said.startswith("error: search space: operator 'cosine' is unknown; choose among add, ")


def test_number_out_of_range(failure: Failure) -> None:
    assert "--search.rounds is 0" in failure([*SEARCH, "--search.rounds=0"], 1)
    assert "--search.time_budget: 'soon' is no duration: write 90s" in failure(
        [*SEARCH, "--search.time_budget=soon"], 1
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serch"], "there is no verb 'serch'; did you mean search?"),
        (["search", "--search.rouds=3"], "there is no option --search.rouds; did you mean --search.rounds"),
        (["search", "--search.timeout=60"], "did you mean --search.time_budget or --search.patience?"),
        (["fit", *MODEL, "--trainer.max_epoch=3"], "no option --trainer.max_epoch; did you mean --trainer.max_epochs"),
        (["search", "--config=none.yaml"], "--config: there is no file 'none.yaml'"),
        (["search", *MODEL, "--search.rounds=many"], "--search.rounds: needs a whole number, and is many"),
        (["search", *MODEL, "--search.mode=up"], "--search.mode: needs one of max, min, and is up"),
        (["search", "--model=BiasdMF"], "--model: there is no class 'BiasdMF'; did you mean BiasedMF?"),
        (["search", "--model=Transformer"], "there are AITM, BiasedMF, DDPG, DeepMF, EASE, ESMM, IALS, LightGCN, MF, "),
        (["search", "--data=MovieLense"], "--data: there is no class 'MovieLense'; did you mean MovieLens?"),
        (["search", "--search.strategy=PPOO"], "--search.strategy: there is no class 'PPOO'; did you mean PPO?"),
        (["fit", *MODEL, "--model.loss=BCEE"], "--model.loss: there is no class 'BCEE'; did you mean BCE?"),
        (["fit", *MODEL, "--model.loss=PSL"], "--model.loss: PSL is no Loss; there are BCE, BPR, "),
        (["fit", "--model=MF", "--model.loss=BCE"], "--model.loss: BCE is no ListwiseLoss; there are BSL, CCL, "),
        (
            ["fit", "--model=MF", "--model.loss=label * log(pred)"],
            "--model.loss: FormulaLoss is no ListwiseLoss; there are BSL, CCL, ",
        ),
        (
            ["fit", *MODEL, "--model.embeding_dim=3"],
            "BiasedMF has no argument 'embeding_dim'; did you mean embedding_dim?",
        ),
        (["fit", *MODEL, "--model.embedding_dim=x"], "--model.embedding_dim: needs a whole number, and is x"),
        (["fit", *MODEL, "--data=InteractionsDataModule"], "the following arguments are required: --data.root"),
        (["fit", *DATA], "the following arguments are required: --model"),
        (
            ["test", "--ckpt_path=last"],
            "required: --model, since --ckpt_path last is the newest run that had the same ",
        ),
        (["test", "--ckpt_path", "last"], "or the file of a checkpoint, which holds both"),
        ([], "there is no verb; choose among fit, validate, test, predict, search"),
        (
            ["fit", "--data.root=shop.csv"],
            "--data needs a class before its arguments: --data NAME; there are AliExpress",
        ),
        (["fit", *MODEL, "--model.loss.gamma=3"], "--model.loss needs a class before its arguments: --model.loss NAME"),
        (["fit", *MODEL, "--lr=0.1"], "no option --lr; did you mean --model.optimizer Adam --model.optimizer.lr?"),
        (
            ["fit", "--model=BiasedMF", "--model.learning_rate=0.1"],
            "did you mean --model.optimizer Adam --model.optimizer.lr?",
        ),
        (["fit", *MODEL, "--model.optimizer.lr=0.1"], "--model.optimizer needs a class before its arguments"),
        (["fit", "--embedding_dim=3"], "there is no option --embedding_dim; did you mean --model.embedding_dim?"),
        (["fit", "--root=shop.csv"], "there is no option --root; did you mean --data.root?"),
        (["fit", "--max_epochs=3"], "there is no option --max_epochs; did you mean --trainer.max_epochs?"),
        (["fit", "BiasedMF"], "'BiasedMF' belongs to no option: options begin with --"),
        (["fit", "BiasedMF"], "did you mean --model BiasedMF?"),
        (["fit", "--model"], "argument --model: expected one argument"),
        (["search", "--rounds"], "argument --search.rounds: expected one argument"),
        (
            ["search", "--rounds", "1", "2"],
            "'2' belongs to no option: options begin with --, and lists are written [a,b]",
        ),
        (
            ["fit", "--data=InteractionsDataModule", "--data.ratios=0.8"],
            "--data.ratios: needs a tuple, and is",
        ),
        (
            ["fit", *MODEL, "--seed_everything=abc"],
            "--seed_everything: needs true or false or a whole number, and is ",
        ),
        (["search", "--strategy.clip=x"], "--search.strategy.clip: needs a number, and is x"),
        (["search", "--strategy.clipp=3"], "PPO has no argument 'clipp'; did you mean clip?"),
        (["search", "--space.operatrs=[add]"], "SearchSpace has no argument 'operatrs'; did you mean operators?"),
        (["search", "--space=[add]"], "--search.space: Not a valid subclass of SearchSpace; Given value: ['add']"),
        (
            ["search", "--executor=ry"],
            "--search.executor: needs one of serial, process, ray, and is ry",
        ),
        (["compare", "--losses=BCEE"], "--compare.losses: there is no class 'BCEE'; did you mean BCE?"),
        (
            ["compare", "--learning_rates"],
            "--compare.learning_rates+: expected one argument",
        ),
        (["compare", "--learning_rates=fast"], "--compare.learning_rates: needs a number, and is fast"),
        (
            ["polish", "--variants=labelq"],
            "--polish.variants: needs one of one_minus_q, ",
        ),
        (["polish", "--agent=DDPGG"], "--polish.agent: there is no class 'DDPGG'; did you mean DDPG?"),
        (["check", "--points=many"], "--points: needs a whole number, and is many"),
        (["report"], "the following arguments are required: run"),
        (["report", "runs/a", "--ouput=a.html"], "there is no option --ouput; did you mean --output?"),
        (["export"], "the following arguments are required: run"),
        (
            ["export", ".", "--to=pyton"],
            "--to: needs one of python, latex, ",
        ),
        (["export", "runs/a", "--ranks=3"], "there is no option --ranks; did you mean --rank?"),
    ],
)
def test_command_lines_that_cannot_be_understood(arguments: list[str], said: str, failure: Failure) -> None:
    text = failure(arguments, 2)
    assert said in text
    verb = "" if arguments in ([], ["serch"]) else f" {arguments[0]}"
    assert text.splitlines()[1:] == [f"Help: train.py{verb} --help"]
    assert len(text) < 400


def test_wrong_configuration_files(failure: Failure) -> None:
    Path("key.yaml").write_text("search:\n  rouds: 3\n")
    assert "key.yaml, line 2: there is no option --search.rouds; did you mean --search.rounds" in failure(
        ["search", "--config=key.yaml"], 2
    )
    Path("text.yaml").write_text("model: [BiasedMF\n")
    assert "text.yaml: it cannot be read as settings: while parsing a flow sequence in line 1, column 8; " in failure(
        ["search", "--config=text.yaml"], 2
    )
    Path("table.csv").write_text("user,item\n1,2\n")
    assert "table.csv: it holds no settings, but 'user,item 1,2'. Write names with values" in failure(
        ["fit", "--config=table.csv"], 2
    )
    Path("empty.yaml").write_text("")
    assert "--config: the file 'empty.yaml' is empty" in failure(["fit", "--config=empty.yaml"], 2)
    Path("folder").mkdir()
    assert "--config: Path is not a file: " in failure(["fit", "--config=folder"], 2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            "# Mine\nmodel:\n  class_path: MF\n  init_args:\n    embeding_dim: 3\n",
            "own.yaml, line 5: MF has no argument 'embeding_dim'; did you mean embedding_dim?",
        ),
        ("model: BiasdMF\n", "own.yaml, line 1: --model: there is no class 'BiasdMF'; did you mean BiasedMF?"),
        ("trainer:\n  max_epochs: many\n", "own.yaml, line 2: --trainer.max_epochs: needs a whole number, and is many"),
        ("trainer:\n  max_epoch: 3\n", "own.yaml, line 2: there is no option --trainer.max_epoch; did you mean "),
        ("hi\n", "own.yaml: it holds no settings, but 'hi'"),
        ("a: 'b\n", "own.yaml: it cannot be read as settings: "),
    ],
)
@pytest.mark.parametrize("order", [("own.yaml", "other.yaml"), ("other.yaml", "own.yaml")], ids=["first", "last"])
def test_the_configuration_file_with_an_error_is_named(
    settings: str, said: str, order: tuple[str, str], failure: Failure
) -> None:
    Path("own.yaml").write_text(settings)
    Path("other.yaml").write_text("trainer:\n  max_epochs: 1\n")
    assert failure(["fit", *(f"--config={name}" for name in order)], 2).startswith(f"error: {said}")


def test_a_file_is_named_in_a_folder_of_its_own_and_before_a_verb(failure: Failure) -> None:
    Path("mine").mkdir()
    Path("mine", "check.yaml").write_text("seed_everything: 1\npoints: many\n")
    said = failure(["check", "--losses=BCE", "--config=mine/check.yaml"], 2)
    assert said.startswith("error: mine/check.yaml, line 2: --points: needs a whole number")
    Path("all.yaml").write_text("search:\n  search:\n    rouds: 3\n")
    assert failure(["--config=all.yaml", "search"], 2).startswith(
        "error: all.yaml, line 3: there is no option --search."
    )
    Path("one.yaml").write_text("model: MF\n")
    assert "write fit first, then --config" in failure(["--config=one.yaml", "fit"], 2)


@pytest.mark.parametrize("verb", ["fit", "test", "search", "compare"])
def test_a_model_without_data(verb: str, failure: Failure) -> None:
    assert "--data is missing" in failure([verb, *MODEL], 1)


def test_wrong_checkpoints(failure: Failure) -> None:
    assert "none.ckpt" in failure(["test", *DATA, *MODEL, "--ckpt_path=none.ckpt"], 1)
    Path("text.ckpt").write_text("hello")
    assert "'text.ckpt' cannot be read as a checkpoint" in failure(["test", *DATA, *MODEL, "--ckpt_path=text.ckpt"], 1)


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(FileNotFoundError):
        main(["--debug", *on(Path("none"))])


def test_devices_that_are_no_number(failure: Failure) -> None:
    assert "the Trainer cannot be built with these options (--trainer...): `devices`" in failure(
        [*FIT, *DATA, "--trainer.devices=x"], 1
    )


def test_a_comparison_of_a_study_that_is_not_there(failure: Failure) -> None:
    assert "'nowhere' holds no study: ledger.sqlite is not there" in failure(["compare", "--study=nowhere"], 1)


def test_a_formula_without_pred_is_no_loss(failure: Failure) -> None:
    assert "loss '3' has no pred" in failure([*FIT, *DATA, "--model.loss=3"], 1)


def test_folder_of_another_study(study: Path, failure: Failure) -> None:
    before = (study / "ledger.sqlite").read_bytes()
    said = failure([*STUDY, f"--search.root={study}", "--search.candidates=4", "--model.embedding_dim=5"], 1)
    assert f"'{study}' was begun with other settings" in said
    assert "model.init_args.embedding_dim was 4 and is 5" in said
    assert "search.candidates was 3 and is 4" in said
    assert (study / "ledger.sqlite").read_bytes() == before


def test_folder_that_is_a_file(failure: Failure) -> None:
    Path("taken").write_text("")
    said = failure([*SEARCH, "--search.root=taken"], 1)
    assert said.startswith("error: --search.root: '")
    assert "taken' is a file, so that nothing can be written below it; name another folder" in said


def test_full_disk(failure: Failure, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(sqlite3.Connection):
        def executemany(self, statement: str, rows: Any) -> sqlite3.Cursor:
            if "children" in statement and any(row["round"] == 2 for row in rows):
                raise sqlite3.OperationalError("database or disk is full")
            return super().executemany(statement, rows)

    connect = sqlite3.connect
    monkeypatch.setattr(ledger.sqlite3, "connect", lambda path, **options: connect(path, factory=FullDisk, **options))
    said = failure([*SEARCH, "--search.root=study"], 1)
    assert f"the ledger '{Path('study/ledger.sqlite')}' cannot be written: database or disk is full" in said
    assert "free some space" in said
    assert candidates(Path("study"))["round"].tolist() == [1, 1, 1]


def test_full_disk_at_another_file(failure: Failure, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    said = failure([*SEARCH, "--search.rounds=1", "--search.references=[]", "--search.root=study"], 1)
    assert "'study/formulas.csv' cannot be written: No space left on device" in said
    assert len(candidates(Path("study"))) == 3


def test_a_failed_child_is_recorded_and_the_search_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(number: int, child: Any) -> None:
        if number == REFERENCES + 1:
            raise ArithmeticError("no such number")

    before_child(monkeypatch, fail)
    assert main([*SEARCH, "--search.root=study"]) == 0
    trained = candidates(Path("study"))
    assert trained["status"].tolist() == ["trained", "failed", *["trained"] * 4]
    assert trained["error"][1] == "ArithmeticError: no such number"
    assert trained["reward"][1] == -1.0
    assert pd.read_csv("study/formulas.csv")["formula"].iloc[-1] == trained["formula"][1]


def test_several_failed_children_in_a_row_end_the_search(monkeypatch: pytest.MonkeyPatch, failure: Failure) -> None:
    def fail(number: int, child: Any) -> None:
        if number > REFERENCES:
            raise ArithmeticError("no such number")

    before_child(monkeypatch, fail)
    said = failure([*SEARCH, "--search.most_failures=3", "--search.root=study"], 1)
    trained = candidates(Path("study"))
    assert "3 candidates in a row failed" in said
    assert trained["formula"].iloc[-1] in said
    assert trained["status"].tolist() == ["trained", "failed", "failed", "failed"]


def test_a_child_with_a_non_finite_loss_gets_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    def poison(number: int, child: Any) -> None:
        if number == REFERENCES + 2:
            torch.nn.init.constant_(child.global_bias, float("nan"))

    before_child(monkeypatch, poison)
    assert main([*SEARCH, "--search.root=study"]) == 0
    trained = candidates(Path("study"))
    assert trained["status"].tolist() == ["trained", "trained", "non-finite", *["trained"] * 3]
    assert trained["reward"][2] == -1.0
    assert trained["metric"].isna().tolist() == [False, False, True, False, False, False]


def test_ctrl_c_in_a_fit(monkeypatch: pytest.MonkeyPatch, failure: Failure) -> None:
    def interrupt(self: BiasedMF, batch: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(BiasedMF, "training_step", interrupt)
    assert failure([*FIT, *DATA], 130).endswith("interrupted\n")


def test_an_end_of_its_own_keeps_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(self: BiasedMF, batch: Any) -> None:
        raise SystemExit(7)

    monkeypatch.setattr(BiasedMF, "training_step", end)
    assert main([*FIT, *DATA]) == 7
