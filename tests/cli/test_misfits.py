"""A loss that a model cannot be trained on is refused by every verb that trains, before it does."""

from pathlib import Path

import pytest

from lightning_modules.cli.main import main
from tests.cli.cli_helpers import DATA, MODEL, SEARCH, TRAINER

COMPARE = ["compare", *DATA, *MODEL, *TRAINER, "--compare.seeds=2"]
NO_PREDICTION = "has no prediction in it: write pred"
AS_OBJECT = '{"class_path": "FormulaLoss", "init_args": {"formula": "pred - pred + label"}}'
PAIRWISE = "wants a difference and BiasedMF gives a logit: name a loss of one prediction"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit", *DATA, *MODEL, *TRAINER, "--model.loss=1 + label"], "'1 + label' has no pred"),
        (["fit", *DATA, *MODEL, *TRAINER, f"--model.loss={AS_OBJECT}"], NO_PREDICTION),
        (["fit", *DATA, *MODEL, *TRAINER, "--model.loss=BPR"], PAIRWISE),
        ([*SEARCH, "--references=[RankNetLoss]"], PAIRWISE),
        ([*SEARCH, "--baseline=1 + label"], NO_PREDICTION),
        ([*COMPARE, "--losses=[BPR]"], PAIRWISE),
        ([*COMPARE, "--losses=[]", "--formulas=[label]"], NO_PREDICTION),
        ([*COMPARE, "--losses=[]", "--baseline=BPR"], PAIRWISE),
    ],
)
def test_a_loss_that_does_not_fit(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) in (1, 2)
    assert said in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.c[sk][vp]*"))


@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        (
            "MF",
            "SyntheticInteractions",
            "MF ranks a catalogue for each user, and SyntheticInteractions has no items_of",
        ),
        ("EASE", "SyntheticInteractions", "Give the same tables to ImplicitFeedback"),
        ("BiasedMF", "SyntheticFeedback", "BiasedMF is trained on labelled rows, and SyntheticFeedback gives items"),
        ("RankNet", "SyntheticFeedback", "Give the same tables to InteractionsDataModule"),
    ],
)
def test_a_model_of_other_rows(model: str, data: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", f"--model={model}", f"--data={data}", *TRAINER]) == 1
    assert said in capsys.readouterr().err
