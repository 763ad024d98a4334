"""What the configurations that a command line names hold, before the parser reads them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from lightning_modules.cli.verbs import values_of
from lightning_modules.utilities.serialization import is_file
from lightning_modules.utilities.untrusted_data import check_bounds, read_settings


def named_settings(arguments: Sequence[str]) -> Iterator[Mapping[str, Any] | None]:
    """Yield what each configuration holds; ``None`` for one that cannot be read, of which the parser says why.

    Args:
        arguments: The arguments after the verb; a configuration is a file, or its text.
    """
    for config in values_of(arguments, "--config", "-c"):
        found = None
        with suppress(OSError, ValueError, RecursionError, yaml.YAMLError):
            found = read_settings(Path(config)) if is_file(config) else _read(config)
        yield found if isinstance(found, Mapping) else None


def _read(text: str) -> Any:
    check_bounds(text)
    return yaml.safe_load(text)
