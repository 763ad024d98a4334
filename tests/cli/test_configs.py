"""Every configuration of a search runs; those of single models are tested with the recommenders."""

from pathlib import Path

import pytest

from lightning_modules.cli.main import main
from tests.cli.cli_helpers import REPOSITORY, candidates, write_split

CONFIGS = REPOSITORY / "configs"
SEARCHES = sorted((CONFIGS / "search").glob("*.yaml"))
pytestmark = pytest.mark.usefixtures("_undrawn")
TINY = [
    *("--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.accelerator=cpu"),
    *("--search.rounds=1", "--search.candidates=2", "--search.warmup_updates=1", "--search.most_draws=2048"),
    *("--search.references=[]", "--search.root=study", "--search.finalists=1", "--search.finalist_epochs=1"),
]


def test_the_files_are_found() -> None:
    assert [path.stem for path in SEARCHES] == ["ml100k_biased_mf", "ml100k_deep_mf", "quickstart", "top_n"]
    folders = {"agents", "compare", "multitask", "recommenders", "search", "top_n"}
    assert {path.name for path in CONFIGS.iterdir()} == folders


# The README's commands run the quickstart too.
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=pytest.mark.slow if path.stem == "quickstart" else (), id=path.stem)
        for path in SEARCHES
    ],
)
def test_every_search_runs(path: Path, tmp_path: Path) -> None:
    data = [] if path.stem in ("quickstart", "top_n") else [f"--data.root={write_split(tmp_path / 'shop')}"]
    assert main(["search", f"--config={path}", *data, *TINY]) == 0
    assert set(candidates(Path("study"))["status"]) == {"trained"}


@pytest.mark.parametrize("name", ["ml100k_biased_mf", pytest.param("ml100k_deep_mf", marks=pytest.mark.slow)])
def test_other_data_can_be_named(name: str) -> None:
    config = CONFIGS / "search" / f"{name}.yaml"
    assert main(["search", f"--config={config}", "--data=SyntheticInteractions", *TINY]) == 0
    assert set(candidates(Path("study"))["status"]) == {"trained"}


def test_the_configuration_of_a_fit_serves_a_search(tmp_path: Path) -> None:
    config = CONFIGS / "recommenders" / "biased_mf.yaml"
    assert main(["search", f"--config={config}", f"--data.root={write_split(tmp_path / 'shop')}", *TINY]) == 0
    assert set(candidates(Path("study"))["status"]) == {"trained"}
