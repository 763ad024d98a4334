"""What was run on what data: sections that all reports have."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from lightning_modules.core.run_config import CONFIG_NAME, DATA_NAME, flattened
from lightning_modules.report.html import Markup, code, facts, folded, joined, paragraphs, table
from lightning_modules.report.page import Section
from lightning_modules.search.reports.stored_measurement import class_name
from lightning_modules.utilities.untrusted_data import read_settings

_CONFIDENCE = 0.95


class FolderSettings:
    """The settings that a folder was begun with.

    Args:
        root: The folder.

    Attributes:
        values: The settings; empty if there are none.

    Raises:
        SettingsError: If the file there cannot be read.
    """

    def __init__(self, root: Path) -> None:
        path = root / CONFIG_NAME
        found = read_settings(path) if path.is_file() else {}
        self.values: Mapping[str, Any] = found if isinstance(found, Mapping) else {}

    def of(self, verb: str) -> Mapping[str, Any]:
        """Return the settings of a verb; empty if it has none."""
        found = self.values.get(verb)
        return found if isinstance(found, Mapping) else {}

    def name(self, section: str) -> str:
        """Return the class of the model or of the data, without its package."""
        return class_name(self.values.get(section)) or f"unknown {section}"

    def confidence(self, verb: str) -> float:
        """Return the confidence of a verb's intervals."""
        found = self.of(verb).get("confidence")
        return found if isinstance(found, float) and 0 < found < 1 else _CONFIDENCE

    @property
    def subject(self) -> str:
        """The model and the data."""
        return f"{self.name('model')} on {self.name('data')}"


def read_numbers(path: Path, texts: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """Return a table that a verb wrote.

    Args:
        path: The CSV file.
        texts: Columns of texts that it must have.
        numbers: Columns of numbers that it must have.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is no such table, or is empty.
    """
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(texts, "str"), keep_default_na=True)
        missing = [name for name in (*texts, *numbers) if name not in table]
        if missing or table.empty:
            raise ValueError(f"it has no column {missing[0]}" if missing else "it has no row")
        return table.astype(dict.fromkeys(numbers, float)).fillna(dict.fromkeys(texts, ""))
    except (ValueError, pd.errors.ParserError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"'{path}' cannot be read: {reason}; give the command that wrote it again") from error


def settings_section(settings: FolderSettings, verb: str, shown: Mapping[str, str]) -> Section:
    """Return the settings: those that a reader wants first, by their titles, and all of them.

    Args:
        settings: The settings.
        verb: The verb.
        shown: The dotted keys of those that a reader wants first, by their titles.
    """
    flat = dict(flattened(settings.values))
    first = [("model", settings.name("model")), ("data", settings.name("data"))]
    first += [(title, _words(settings.values, key)) for title, key in shown.items() if _has(settings.values, key)]
    whole = table(f"{CONFIG_NAME}", ["setting", "value"], [[key, str(value)] for key, value in flat.items()])
    return Section(
        "Settings", joined([facts(first), folded(f"All {len(flat)} settings of {verb}", whole, is_printed=False)])
    )


def _has(values: Any, key: str) -> bool:
    return _value(values, key) is not None


def _words(values: Any, key: str) -> str:
    value = _value(values, key)
    return class_name(value) or str(value)


def _value(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def count_of_test_rows(root: Path) -> str:
    """Return the number of test rows in words, as far as the fingerprint of the data tells."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        return (
            f"{int(json.loads((root / DATA_NAME).read_text(encoding='utf-8'))['splits']['test']['rows']):,} test rows"
        )
    return "test rows"


def data_section(root: Path) -> Section:
    """Return what the fingerprint of the data says; the section says so if there is none.

    Raises:
        ValueError: If the file there cannot be read.
    """
    path = root / DATA_NAME
    if not path.is_file():
        return Section("Data", paragraphs("The folder keeps no fingerprint of its data."))
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        splits = [
            [str(name), f"{int(split['rows']):,}", ", ".join(split["columns"])]
            for name, split in found["splits"].items()
        ]
        names = [(str(kind), f"{int(str(value).partition(':')[0]):,}") for kind, value in found["names"].items()]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as the fingerprint of data: {error!r}") from error
    marks = [[name, column, str(mark)] for name, column, mark in _checksums(found)]
    return Section(
        "Data",
        joined(
            [
                table("Rows of every split", ["split", "rows", "columns"], splits),
                facts(names),
                folded(
                    "Checksums, by which a changed table is found out",
                    table(DATA_NAME, ["split", "column", "checksum"], marks),
                    is_printed=False,
                ),
            ]
        ),
    )


def _checksums(found: Any) -> Iterator[tuple[str, str, Any]]:
    for name, split in found["splits"].items():
        for column, mark in split["columns"].items():
            yield str(name), str(column), mark


def commands(pairs: Mapping[str, str]) -> Markup:
    """Return commands to copy, each below what it is for."""
    return joined(joined([paragraphs(purpose), code(command)]) for purpose, command in pairs.items())
