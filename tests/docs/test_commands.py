"""Every command of the README, and of pages that are no story, can be given as it stands."""

from pathlib import Path

import pytest

from tests.docs.pages import DOCS, HOW_TO, REPOSITORY, blocks
from tests.docs.skimming import Skimmer, folder_with_data

PAGES = [
    page
    for page in (REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md")))
    if page not in HOW_TO and any("train.py" in block.text for block in blocks(page) if block.language == "bash")
]


def test_the_readme_is_among_the_pages() -> None:
    assert REPOSITORY / "README.md" in PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(900)
def test_every_command_is_accepted(page: Path, tmp_path: Path) -> None:
    skimmer = Skimmer(folder_with_data(tmp_path / "checkout"))
    for block in blocks(page):
        skimmer.follow(block)
