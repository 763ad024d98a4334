"""Names in lists are text, whatever YAML makes of them; losses are no files."""

import json
from pathlib import Path

import pandas as pd
import pytest

from lightning_modules.cli.main import main
from lightning_modules.cli.shorthand import spell_out
from lightning_modules.cli.subcommands import OWN_VERBS
from lightning_modules.losses import Loss
from tests.cli.cli_helpers import DATA, MODEL, TRAINER

COLUMNS = ["101", "121", "yes", "on", "null", "1e3", "~", "007", "0x10"]
QUIET = ["--trainer.logger=false", "--trainer.enable_checkpointing=false", "--trainer.enable_model_summary=false"]
SHORT = [*TRAINER, *QUIET, "--trainer.limit_train_batches=1", "--trainer.limit_val_batches=1"]
LONG = " + ".join(["(label - pred)**2"] * 40)


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("[101,121]", ["101", "121"]),
        ("[yes, on, null, ~, 1e3]", ["yes", "on", "null", "~", "1e3"]),
        ("[\"101\", 'a b', c]", ["101", "a b", "c"]),
        ("[]", []),
    ],
)
@pytest.mark.parametrize("option", ["categorical_columns", "init_args.numerical_columns", "tasks"])
@pytest.mark.parametrize("equals", [True, False])
def test_names_in_lists_are_text(option: str, written: str, names: list[str], equals: bool) -> None:
    given = [f"--data.{option}={written}"] if equals else [f"--data.{option}", written]
    assert spell_out(given) == [f"--data.{option}={json.dumps(names)}"]


def test_tasks_of_several_columns_are_names_too() -> None:
    assert spell_out(["--data.tasks", "{click: [1, yes]}"]) == ['--data.tasks={"click": ["1", "yes"]}']


@pytest.mark.parametrize("given", ["--data.ratios=[1,2,3]", "--data.tasks=null", "--model.tower_dims=[64]"])
def test_what_is_no_names_stays(given: str) -> None:
    assert spell_out([given]) == [given]


def test_columns_named_like_numbers_and_truths_train_a_model() -> None:
    table = pd.DataFrame({name: [row % 3 for row in range(60)] for name in COLUMNS})
    table.insert(0, "1", [row % 2 for row in range(60)])
    table.to_csv("shop.csv", index=False)
    data = ["--data=ImpressionsDataModule", "--data.root=shop.csv", "--data.tasks=[1]"]
    columns = f"--data.categorical_columns=[{','.join(COLUMNS)}]"
    assert main(["fit", "--model=SharedBottom", "--model.embedding_dim=2", *data, columns, *SHORT]) == 0


def test_a_name_in_a_file_of_settings_is_to_be_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    Path("shop.yaml").write_text("data: {class_path: ImpressionsDataModule, init_args: {categorical_columns: [101]}}")
    assert main(["fit", "--config=shop.yaml"]) == 2
    assert "--data.categorical_columns: needs text, and is 101" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--model.loss", "--model.init_args.loss", "--model.loss.base"])
def test_a_loss_named_like_a_file_stays_a_loss(option: str) -> None:
    Path("Focal").write_text("class_path: MSE")
    Path("label - pred").write_text("class_path: MSE")
    (spelled,) = spell_out([option, "Focal"])
    assert json.loads(spelled.partition("=")[2]) == {"class_path": "Focal"}
    (spelled,) = spell_out([option, "label - pred"])
    assert Loss.from_spec(json.loads(spelled.partition("=")[2])).title == "label - pred"


def test_a_file_of_a_loss_is_known_by_its_suffix() -> None:
    Path("loss.yaml").write_text("class_path: MSE")
    assert spell_out(["--model.loss", "loss.yaml"]) == ["--model.loss=loss.yaml"]


@pytest.mark.parametrize(
    ("verb", "option"), [("search", "--references"), ("search", "--baseline"), ("compare", "--losses")]
)
def test_a_verbs_losses_are_no_files_either(verb: str, option: str) -> None:
    Path("BCE").write_text("class_path: MSE")
    (spelled,) = OWN_VERBS[verb].complete([option, "BCE"])
    assert "BCE" in spelled
    assert "class_path" in spelled
    (spelled,) = OWN_VERBS[verb].complete([option, LONG])
    assert json.loads(spelled.partition("=")[2])


@pytest.mark.parametrize("loss", ["BCE", "Focal", LONG])
def test_models_train_with_losses_that_are_long_or_named_like_a_file(loss: str) -> None:
    Path("BCE").write_text("class_path: Nothing")
    Path("Focal").mkdir()
    assert main(["fit", *MODEL, *DATA, *SHORT, "--model.loss", loss]) == 0


def test_a_long_loss_without_pred_has_a_short_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *MODEL, *DATA, "--model.loss", LONG.replace("pred", "label")]) == 1
    said = capsys.readouterr().err
    assert "has no pred" in said
    assert len(said) < 400


@pytest.mark.parametrize("option", ["--data.user_column", "--data.label_column", "--data.root", "--data.batch_size"])
def test_null_where_a_value_is_needed_is_refused_by_name(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("shop.csv").write_text("uid,iid,label\n1,2,1\n")
    data = ["--data=InteractionsDataModule", "--data.root=shop.csv", f"{option}=null"]
    assert main(["fit", *MODEL, *data, *SHORT]) in (1, 2)
    said = capsys.readouterr().err
    assert option in said
    assert "Traceback" not in said
