"""Every how-to page works as it is written."""

from pathlib import Path

import pytest

from tests.docs.pages import HOW_TO, Reader, blocks, checkout


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_a_reader_gets_through(page: Path, tmp_path: Path) -> None:
    reader = Reader(checkout(tmp_path / "checkout"))
    found = list(blocks(page))
    assert any(block.language == "bash" for block in found)
    for block in found:
        reader.follow(block)
