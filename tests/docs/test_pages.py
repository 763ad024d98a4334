"""Every how-to page works as it is written."""

from pathlib import Path

import pytest

from tests.docs.pages import HOW_TO, Reader, blocks, checkout

#: Pages that search with a policy or compare, for half a minute.
LONG = ("add_a_loss", "add_a_recommender", "search_on_your_data")
PAGES = [pytest.param(page, marks=pytest.mark.slow if page.stem in LONG else (), id=page.stem) for page in HOW_TO]


@pytest.mark.parametrize("page", PAGES)
def test_a_reader_gets_through(page: Path, tmp_path: Path) -> None:
    reader = Reader(checkout(tmp_path / "checkout"))
    found = list(blocks(page))
    assert any(block.language == "bash" for block in found)
    for block in found:
        reader.follow(block)
