"""The table of options is what the parsers do, and is left alone where it may not be."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lightning_modules.cli import option_table as module
from lightning_modules.cli.option_table import PATH, NamedClass, installed_versions, option_table
from lightning_modules.cli.table_writer import as_text, table_of_parsers
from lightning_modules.cli.verbs import VERBS

REMEDY = "the options have changed: run python -m lightning_modules.cli.table_writer"
tested_versions = pytest.mark.skipif(
    json.loads(PATH.read_text(encoding="utf-8"))["versions"] != installed_versions(),
    reason="the table is made with other versions of Lightning or jsonargparse",
)


@tested_versions
def test_the_table_is_that_of_the_parsers() -> None:
    assert PATH.read_text(encoding="utf-8") == as_text(table_of_parsers()), REMEDY


@tested_versions
@pytest.mark.parametrize("verb", VERBS)
def test_the_table_serves_every_verb(verb: str) -> None:
    assert option_table().is_current(verb)


def test_a_table_of_other_versions_or_settings_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = replace(option_table(), versions=installed_versions())
    assert not replace(table, versions={**table.versions, "jsonargparse": "4.0"}).is_current("fit")
    (tmp_path / "settings.py").write_text("class SearchSettings:\n    rounds: int = 1\n    added: int = 1\n")
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    assert not replace(table, settings={"search": "settings.py"}).is_current("search")


def test_an_argument_that_a_class_has_got_since_is_left_to_the_parser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    (tmp_path / "model.py").write_text("class Model:\n    def __init__(self, width: int, *, depth: int) -> None: ...\n")
    model = NamedClass(["size"], ["."])
    assert [model.may_have(name) for name in ("size", "width", "depth", "height")] == [True, True, True, False]
