"""Every model's configuration on every data set runs as it stands, given the data's folder."""

from pathlib import Path

import pytest
import torch
import yaml

from lightning_modules.cli.main import main
from tests.multitask.published_layouts import WRITERS

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "multitask"
DATA_SETS = ["aliexpress", "kuairand", "retailrocket", "synthetic"]
MODELS = ["aitm", "esmm", "metaheac", "mmoe", "omoe", "ple", "shared_bottom", "single_task"]
SMALL = ["--model.embedding_dim=4", "--model.bottom_dims=[8]", "--model.tower_dims=[4]"]
QUICK = ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
FILES = [path for name in DATA_SETS for path in sorted((CONFIGS / name).glob("*.yaml"))]
#: Every model once, every data set twice.
FEW = {(DATA_SETS[number % len(DATA_SETS)], model) for number, model in enumerate(MODELS)}
FEW_ROWS = {"synthetic": ["--data.num_sessions=200"]}


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {name: tmp_path_factory.mktemp(name) for name in WRITERS}
    for name, write in WRITERS.items():
        write(folders[name])
    return folders


def test_every_model_has_a_file_for_every_data_set() -> None:
    assert sorted(path.name for path in CONFIGS.iterdir()) == sorted([*DATA_SETS, "parts"])
    for data in DATA_SETS:
        assert {path.stem for path in (CONFIGS / data).glob("*.yaml")} >= set(MODELS)


def model_of(path: Path) -> str:
    """Return the class that a file names by another file."""
    part = yaml.safe_load((path.parent / yaml.safe_load(path.read_text())["model"]).read_text())
    return str(part["class_path"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_file_is_understood(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", f"--config={path}", *SMALL, *QUICK, "--print_config"]) == 0
    settings = yaml.safe_load(capsys.readouterr().out)
    assert settings["model"]["class_path"] == model_of(path)
    assert settings["model"]["init_args"]["embedding_dim"] == 4


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            path,
            marks=() if (path.parent.name, path.stem) in FEW else pytest.mark.slow,
            id=f"{path.parent.name}-{path.stem}",
        )
        for path in FILES
    ],
)
@pytest.mark.filterwarnings("ignore:.*pay without click", "ignore:column 'available'")
def test_every_file_trains_and_tests(path: Path, roots: dict[str, Path], tmp_path: Path) -> None:
    data = path.parent.name
    rows = [f"--data.root={roots[data]}"] if data in roots else FEW_ROWS[data]
    options = [f"--config={path}", *rows, *SMALL, *QUICK, f"--trainer.default_root_dir={tmp_path}"]
    assert main(["fit", *options]) == 0
    (checkpoint,) = tmp_path.rglob("best.ckpt")
    stored = torch.load(checkpoint, weights_only=True)["hyper_parameters"]
    assert stored["_class_path"] == model_of(path)
    assert main(["test", *options, f"--ckpt_path={checkpoint}"]) == 0


@pytest.mark.parametrize(
    "model", ["esmm", *(pytest.param(each, marks=pytest.mark.slow) for each in MODELS if each != "esmm")]
)
def test_the_tuned_settings_lie_on_top_of_every_model(model: str, roots: dict[str, Path], tmp_path: Path) -> None:
    files = [CONFIGS / "kuairand" / f"{model}.yaml", CONFIGS / "parts" / "tuned" / "kuairand.yaml"]
    options = [f"--data.root={roots['kuairand']}", *QUICK, f"--trainer.default_root_dir={tmp_path}"]
    assert main(["fit", *(f"--config={path}" for path in files), *options]) == 0
    (checkpoint,) = tmp_path.rglob("best.ckpt")
    stored = torch.load(checkpoint, weights_only=True)["hyper_parameters"]
    assert (stored["embedding_dim"], stored["batch_norm"], stored["dropout"]) == (16, False, 0.0)
    assert stored["optimizer"]["class_path"] == "torch.optim.Adagrad"
