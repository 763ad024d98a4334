"""Every command of the README, and of pages that are no story, can be given as it stands."""

import shutil
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, HOW_TO, REPOSITORY, blocks
from tests.docs.skimming import CommandReader, Skimmer, folder_with_data

README = REPOSITORY / "README.md"
PAGES = [
    page
    for page in sorted(DOCS.rglob("*.md"))
    if page not in HOW_TO and any("train.py" in block.text for block in blocks(page) if block.language == "bash")
]
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def after_readme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the README's commands in small, and return the folder."""
    folder = folder_with_data(tmp_path_factory.mktemp("readme") / "checkout")
    skimmer = Skimmer(folder)
    for block in blocks(README):
        skimmer.follow(block)
    return folder


@pytest.mark.draws
def test_the_readmes_commands_run(after_readme: Path) -> None:
    assert (after_readme / "runs" / "quickstart" / "formulas.csv").is_file()
    assert (after_readme / "runs" / "quickstart_compare" / "summary.md").is_file()
    assert (after_readme / "lightning_logs").is_dir()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_is_understood(page: Path, after_readme: Path) -> None:
    reader = CommandReader(after_readme)
    for block in blocks(page):
        reader.follow(block)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_runs_after_the_readme(page: Path, after_readme: Path, tmp_path: Path) -> None:
    folder = folder_with_data(tmp_path / "checkout")
    shutil.copytree(after_readme / "runs", folder / "runs")
    skimmer = Skimmer(folder)
    for block in blocks(page):
        skimmer.follow(block)
