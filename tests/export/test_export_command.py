import importlib.util
import shutil

import pytest
import torch
from matplotlib.mathtext import MathTextParser
from pytorch_lightning import Trainer

from lightning_modules.export import ExportSettings, onnx_model, run_export, to_latex
from lightning_modules.losses import Formula, FormulaLoss
from lightning_modules.recommenders import BiasedMF
from lightning_modules.search.events import Candidate
from lightning_modules.search.ledger import Ledger

FORMULAS = {"square(pred - label)": 0.1, "max(label / pred, pred / label)": 0.3, "-label * log(pred)": 0.2}


@pytest.fixture
def study(tmp_path):
    root = tmp_path / "study"
    ledger = Ledger(root)
    for text, reward in FORMULAS.items():
        texts = {"kind": "candidate", "formula": text, "simplified": text, "status": "trained"}
        numbers = {"reward": reward, "metric": 0.7, "right_share": 1.0, "signature": 0, "seconds": 1.0}
        ledger.on_candidate(Candidate(round=1, **texts, **numbers))
    ledger.on_end()
    (root / "config.yaml").write_text("search: {rounds: 1, strategy: PPO, numerics: autolossgen}\n")
    return root


@pytest.fixture
def checkpoint(tmp_path):
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.strategy.connect(BiasedMF(5, 4))
    trainer.save_checkpoint(tmp_path / "best.ckpt")
    return tmp_path / "best.ckpt"


def test_the_best_formula_becomes_a_module_beside_the_study(study, capsys):
    path = run_export(ExportSettings(run=str(study)))
    assert path == study / "loss_1.py"
    spec = importlib.util.spec_from_file_location("exported", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pred, label = torch.rand(20), torch.randint(0, 2, (20,)).float()
    right = FormulaLoss("max(label / pred, pred / label)", "autolossgen")(pred, label)
    torch.testing.assert_close(module.loss(pred, label), right, rtol=0, atol=0)
    printed = capsys.readouterr().out
    assert path.read_text() in printed
    assert f"Wrote the formula of rank 1 to {path}." in printed
    assert "from loss_1 import loss" in printed
    assert "not finished" not in printed


def test_a_short_formula_is_named_by_its_operators(study, capsys):
    path = run_export(ExportSettings(run=f"{study}#front:2", to="latex"))
    assert path == study / "loss_3.tex"
    assert Formula.parse("square(pred - label)").latex() in capsys.readouterr().out


def test_another_rank_becomes_latex(study, capsys):
    path = run_export(ExportSettings(run=str(study), rank=2, to="latex"))
    assert path == study / "loss_2.tex"
    assert r"\ell(\hat{y}, y) = -y \cdot \log\left(\hat{y}\right)" in path.read_text()
    assert path.read_text() in capsys.readouterr().out


def test_an_unfinished_study_says_how_far_it_got(study, capsys):
    (study / "config.yaml").write_text("search: {rounds: 5, strategy: PPO, numerics: protected}\n")
    run_export(ExportSettings(run=str(study)))
    assert "not finished: 1 of 5 rounds, 3 trained candidates" in capsys.readouterr().out


def test_an_existing_file_is_kept_unless_it_may_be_replaced(study, tmp_path):
    output = tmp_path / "new" / "folder" / "my_loss.py"
    settings = {"run": str(study), "output": str(output)}
    assert run_export(ExportSettings(**settings)) == output
    output.write_text("changed by hand")
    with pytest.raises(FileExistsError, match=r"my_loss\.py' is there already; replace it with --overwrite"):
        run_export(ExportSettings(**settings))
    assert output.read_text() == "changed by hand"
    run_export(ExportSettings(**settings, overwrite=True))
    assert "def loss" in output.read_text()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_is_no_output(study, tmp_path, overwrite):
    with pytest.raises(ValueError, match=r"is a folder; name a file in it, such as .*loss_1\.py"):
        run_export(ExportSettings(run=str(study), output=str(tmp_path), overwrite=overwrite))


def test_the_wrong_kind_of_path_is_refused(study, checkpoint, tmp_path):
    for to in ("python", "latex"):
        with pytest.raises(ValueError, match=f"is a file, but --to {to} takes the folder of a study"):
            run_export(ExportSettings(run=str(checkpoint), to=to))
    with pytest.raises(ValueError, match="is a folder, but --to onnx takes a checkpoint file"):
        run_export(ExportSettings(run=str(study), to="onnx"))
    with pytest.raises(FileNotFoundError, match="holds no study"):
        run_export(ExportSettings(run=str(tmp_path / "nowhere")))
    with pytest.raises(ValueError, match="has no formula of rank 4: it holds 3"):
        run_export(ExportSettings(run=str(study), rank=4))
    with pytest.raises(ValueError, match="names a formula, and --rank is 2"):
        run_export(ExportSettings(run=f"{study}#front:4", rank=2))
    with pytest.raises(ValueError, match="--rank is 0"):
        ExportSettings(run=str(study), rank=0)


def test_a_checkpoint_becomes_onnx_beside_it(checkpoint, capsys, monkeypatch):
    # What is written is tested in test_onnx_model.py.
    def copied(model, output):
        shutil.copy(model, output)
        return BiasedMF(5, 4).inference_graph()

    monkeypatch.setattr(onnx_model, "write_onnx", copied)
    path = run_export(ExportSettings(run=str(checkpoint), to="onnx"))
    assert path == checkpoint.with_name("best.onnx")
    assert path.read_bytes() == checkpoint.read_bytes()
    said = capsys.readouterr().out
    assert str(path) in said
    assert '.run(["probability", "logit"], {"user": user, "item": item}), int64 arrays user [rows], item [rows]' in said


@pytest.mark.parametrize(
    ("text", "equations"),
    [("label + pred", 2), ("1 * (pred - label) * identity(pred - label)", 2), ("sqrt(1 / pred)", 1)],
)
def test_latex_holds_the_formula_and_its_simplified_form(text, equations):
    lines = [line.strip() for line in to_latex(Formula.parse(text)).splitlines()]
    written = [line for line in lines if line.startswith(r"\ell")]
    assert len(written) == lines.count(r"\begin{equation}") == lines.count(r"\end{equation}") == equations
    assert Formula.parse(text).latex() in written[0]
    if equations == 2:
        assert Formula.parse(text).without_offset().latex() in written[1]
    for line in written:
        MathTextParser("path").parse(f"${line}$")


@pytest.mark.draws
def test_a_study_becomes_a_picture(study, tmp_path, capsys):
    path = run_export(ExportSettings(run=str(study), rank=2, to="picture"))
    assert path == study / "search.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert f"its formula of rank 2, in {path}" in capsys.readouterr().out
    with pytest.raises(ValueError, match="no formula of rank 4"):
        run_export(ExportSettings(run=str(study), rank=4, to="picture", output=str(tmp_path / "other.png")))
    assert not (tmp_path / "other.png").exists()
