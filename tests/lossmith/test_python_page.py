"""The page on Python, the lines of the README and the docstrings run as they stand, in small."""

import doctest
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lightning_modules.cli.main import main
from lightning_modules.search.ledger import read_trials
from lightning_modules.search.study import Study
from tests.docs.pages import DOCS, REPOSITORY, blocks
from tests.lossmith.small import made_small

PAGE = DOCS / "python.md"
#: Found before the verbs are replaced by small ones; the study that one makes is read by the last.
EXAMPLES = [
    example
    for name in ("losses", "adaptation", "verbs", "study")
    for example in doctest.DocTestFinder().find(import_module(f"lossmith.{name}"))
]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    generator = np.random.default_rng(0)
    ids = generator.integers([40, 30], size=(800, 2))
    table = pd.DataFrame(ids, columns=["customer", "product"]).assign(bought=(ids.sum(axis=1) % 4 < 2).astype(int))
    table.to_parquet(tmp_path / "shop.parquet")
    return tmp_path


def test_the_page_is_followed_and_the_command_line_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made_small(monkeypatch)
    names: dict[str, Any] = {}
    for block in blocks(PAGE):
        if block.path:
            (folder / block.path).write_text(block.text)
        elif block.language == "py":
            exec(compile(block.text, str(PAGE), "exec"), names)
    try:
        shop, own = Study.read("runs/shop"), Study.read("runs/own")
        assert (shop.finished_rounds, own.finished_rounds) == (2, 1)
        # Its loss would be compared, if there was one.
        assert len(names["result"].table()) == (2 if names["study"].answer.loss is None else 3)
        assert "round 2" in capsys.readouterr().out
        assert (folder / "runs" / "own_compare" / "summary.md").is_file()
        assert next(folder.glob("logs/**/metrics.csv")).is_file()
        known = len(read_trials("runs/shop"))
        assert main(["search", "--config", "runs/shop/config.yaml"]) == 0
        assert len(read_trials("runs/shop")) == known
        assert main(["search", "--config", "runs/own/config.yaml", "--search.rounds=2"]) == 0
        assert Study.read("runs/own").finished_rounds == 2
        assert main(["compare", "--study", "runs/shop", "--print_config"]) == 0
        assert f"root: {Path('runs/shop/data.parquet')}" in capsys.readouterr().out
    finally:
        sys.modules.pop("own_module", None)


def test_the_lines_of_the_readme_are_those_of_the_page() -> None:
    first, *_ = (block for block in blocks(REPOSITORY / "README.md") if block.language == "py")
    assert first.text == next(blocks(PAGE)).text


def test_docstrings_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_small(monkeypatch, quietly=True)
    runner = doctest.DocTestRunner(verbose=False)
    for example in EXAMPLES:
        runner.run(example)
    assert runner.tries > 10
    assert runner.failures == 0
