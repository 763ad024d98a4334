"""Every configuration of a search runs, and those of comparisons are understood; single models have their own tests."""

from pathlib import Path

import pytest
import yaml

from lightning_modules.cli.main import main
from tests.cli.cli_helpers import DATA, REPOSITORY, SYNTHETIC, candidates, data_of, write_split

CONFIGS = REPOSITORY / "configs"
SEARCHES, COMPARISONS = (sorted((CONFIGS / verb).glob("*.yaml")) for verb in ("search", "compare"))
pytestmark = pytest.mark.usefixtures("_undrawn")
TINY = [
    *("--trainer.max_epochs=1", "--trainer.check_val_every_n_epoch=1", "--trainer.accelerator=cpu"),
    *("--search.rounds=1", "--search.candidates=2", "--search.warmup_updates=1", "--search.most_draws=2048"),
    *("--search.references=[]", "--search.root=study", "--search.finalists=1", "--search.finalist_epochs=1"),
]
#: Further options of the files whose data are drawn; they keep kernels from training, which do whole epochs.
FEW_BATCHES = ["--trainer.limit_train_batches=2"]
#: Every file tunes rewards.
UNREFINED = ["--search.tuning.extensions=0", "--search.tuning.refinements=0"]
#: Further options of the files of models that no kernels train, where every training takes a part of a second.
FEW_TRAININGS = [
    *("--search.tuning.learning_rates=[0.03]", "--search.tuning.learning_rate_factors=[1.0]"),
    *("--search.tuning.retrained_share=0", "--search.finalist_seeds=2", "--search.monitor=val/auc/click"),
]
#: Further options of the files of listwise losses.
FEW_TEMPERATURES = [
    *("--search.tuning.learning_rates=[0.03]", "--search.tuning.temperatures=[0.2]"),
    *("--search.tuning.temperature_factors=[1.0]", "--search.tuning.retrained_share=0", "--search.finalist_seeds=2"),
]
# The README's commands run the quickstart too.
SLOW = ("quickstart", "kuairand_esmm", "kuairand_mmoe")


def test_the_files_are_found() -> None:
    kuairand_and_ml100k = ["kuairand_esmm", "kuairand_mmoe", "ml100k_biased_mf", "ml100k_deep_mf"]
    assert [path.stem for path in SEARCHES] == [*kuairand_and_ml100k, *SYNTHETIC, "top_n_published"]
    folders = {"agents", "compare", "multitask", "recommenders", "search", "top_n"}
    assert {path.name for path in CONFIGS.iterdir()} == folders


@pytest.mark.parametrize("path", [*SEARCHES, *COMPARISONS], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_file_is_understood(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([path.parent.name, f"--config={path}", "--print_config"]) == 0
    settings, given = (yaml.safe_load(text) for text in (capsys.readouterr().out, path.read_text()))
    assert settings[path.parent.name]["root"] == given[path.parent.name]["root"]
    assert settings["trainer"]["max_epochs"] == given["trainer"]["max_epochs"]


@pytest.mark.parametrize(
    "path", [pytest.param(path, marks=pytest.mark.slow if path.stem in SLOW else (), id=path.stem) for path in SEARCHES]
)
def test_every_search_runs(path: Path, tmp_path: Path) -> None:
    few = FEW_TRAININGS if path.stem.startswith(("kuairand", "synthetic_esmm")) else []
    few = few or (FEW_TEMPERATURES if path.stem.startswith("top_n") else [])
    few = few + FEW_BATCHES if path.stem in SYNTHETIC else few
    assert main(["search", f"--config={path}", *data_of(path, tmp_path / "data"), *TINY, *UNREFINED, *few]) == 0
    assert set(candidates(Path("study"))["status"]) == {"trained"}


@pytest.mark.parametrize("name", ["ml100k_biased_mf", pytest.param("ml100k_deep_mf", marks=pytest.mark.slow)])
def test_other_data_can_be_named(name: str) -> None:
    config = CONFIGS / "search" / f"{name}.yaml"
    assert main(["search", f"--config={config}", *DATA, *TINY, *UNREFINED]) == 0
    assert set(candidates(Path("study"))["status"]) == {"trained"}


def test_the_configuration_of_a_fit_serves_a_search(tmp_path: Path) -> None:
    config = CONFIGS / "recommenders" / "biased_mf.yaml"
    assert main(["search", f"--config={config}", f"--data.root={write_split(tmp_path / 'shop')}", *TINY]) == 0
    assert set(candidates(Path("study"))["status"]) == {"trained"}
