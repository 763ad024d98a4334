"""The validation check and the export through the command line."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from lightning_modules.cli.main import main
from lightning_modules.losses import Formula, FormulaLoss
from lightning_modules.search.study import Study

FIRST = ["formula", "depends_on_label", "right_share", "right_share_unclamped", "keep", "monotone", "finite"]


def test_the_formulas_of_a_study_are_checked(study: Path) -> None:
    assert main(["check", str(study), "--root=checked"]) == 0
    table = pd.read_csv("checked/check.csv")
    assert table.columns[:10].tolist() == [*FIRST, "max_gradient", "proper", "simplified"]
    assert table["rank"].tolist() == list(range(1, 7))
    assert table["formula"].tolist() == Study.read(study).candidates["formula"].tolist()


def test_formulas_and_losses_are_checked_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    formulas = ["--formulas", "-label * log(pred)", "pred + label", "(label - pred"]
    assert main(["check", *formulas, "--losses", "MSE", "MaxR", "--root=checked"]) == 0
    table = pd.read_csv("checked/check.csv").set_index("formula")
    assert table.index.tolist() == ["-label * log(pred)", "pred + label", "MSE", "MaxR"]
    assert table["keep"].tolist() == [False, False, True, True]
    assert table["proper"].tolist() == ["no", "no", "yes", "no"]
    assert "(label - pred" in capsys.readouterr().out
    assert list(Path("checked/check").glob("events*"))


def test_a_file_of_formulas_and_a_threshold(study: Path) -> None:
    assert main(["check", "--file", str(study / "formulas.csv"), "--threshold=1999", "--root=strict"]) == 0
    strict = pd.read_csv("strict/check.csv")
    assert len(strict) == 6
    assert strict["keep"].tolist() == (strict["right_share"] == 1).tolist()
    assert main(["check", "--file", str(study / "formulas.csv"), "--threshold=0", "--root=lax"]) == 0
    assert pd.read_csv("lax/check.csv")["keep"].all()


def test_what_there_is_nothing_to_check_in(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in [
        ([], "nothing to check"),
        (["runs/none"], "holds no study"),
        (["--file=none.csv"], "none.csv"),
        (["--formulas", "lable"], "unknown name 'lable'"),
        ([str(study), "--threshold=2000"], "2000"),
    ]:
        assert main(["check", *arguments]) == 1
        assert words in capsys.readouterr().err


def test_an_unfinished_study_says_how_far_it_got(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "ledger.sqlite").write_bytes((study / "ledger.sqlite").read_bytes())
    (copy / "config.yaml").write_text((study / "config.yaml").read_text().replace("rounds: 2", "rounds: 9"))
    assert main(["check", str(copy), "--top=1"]) == 0
    assert "2 of 9 rounds, 6 trained candidates" in capsys.readouterr().out
    assert (copy / "check.csv").is_file()


def test_the_best_formula_is_exported_and_trained_with(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(study), "--rank=2", "--output=found.py"]) == 0
    found = Study.read(study).loss(2)
    namespace: dict[str, object] = {}
    exec(Path("found.py").read_text(), namespace)
    pred, label = torch.rand(50), torch.arange(50) % 2.0
    assert torch.equal(namespace["loss"](pred, label), found(pred, label))
    assert main(["export", str(study), "--rank=2", "--output=found.py"]) == 1
    assert "found.py" in capsys.readouterr().err
    assert main(["export", f"{study}#2", "--output=again.py"]) == 0
    assert Path("again.py").read_text() == Path("found.py").read_text()
    assert main(["export", str(study), "--to=latex"]) == 0
    assert Study.read(study).formula(1).latex() in (study / "loss_1.tex").read_text()


@pytest.mark.parametrize("loss", ["RUN#1", "(label - pred)**2"])
def test_fit_takes_a_study_or_a_formula_as_its_loss(study: Path, loss: str) -> None:
    loss = loss.replace("RUN", str(study))
    small = ["--data=SyntheticInteractions", "--data.num_interactions=2000", "--trainer.max_epochs=1"]
    assert main(["fit", "--model=BiasedMF", "--model.loss", loss, *small, "--trainer.accelerator=cpu"]) == 0
    checkpoint = next(Path("lightning_logs").rglob("*.ckpt"))
    spec = torch.load(checkpoint, weights_only=True)["hyper_parameters"]["loss"]
    expected = Study.read(study).loss(1) if "#" in loss else FormulaLoss(Formula.parse(loss))
    assert spec == expected.spec()


@pytest.mark.parametrize("arguments", [[], ["--to=onnx"]])
def test_an_export_of_nothing(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", *arguments]) == 2
    assert "the following arguments are required: run" in capsys.readouterr().err
