"""Goes on in a folder only with the settings that it was begun with."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lightning_modules.files import replace_file

_SHOWN = 5


def continue_with(
    path: Path, save: Callable[[Path], object], *, fixed: Sequence[str], without: Sequence[str] = ()
) -> None:
    """Write a configuration file, unless the one there differs in what must stay.

    Args:
        path: The configuration file; its folder is made.
        save: Writes the new configuration to a path.
        fixed: Dotted keys that must stay, with everything below them.
        without: Dotted keys below those that may change.

    Raises:
        OSError: If the file cannot be written.
        ValueError: If a setting differs, or the file there cannot be read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda temporary: _check_and_save(path, temporary, save, fixed, without))


def _check_and_save(
    path: Path, temporary: Path, save: Callable[[Path], object], fixed: Sequence[str], without: Sequence[str]
) -> None:
    save(temporary)
    if not path.exists():
        return
    before, now = dict(_flat(_load(path))), dict(_flat(_load(temporary)))
    keys = [key for key in {**before, **now} if _is_below(key, fixed) and not _is_below(key, without)]
    changed = [f"{key} was {before.get(key)} and is {now.get(key)}" for key in keys if before.get(key) != now.get(key)]
    if changed:
        more = f", and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise ValueError(
            f"'{path.parent}' was begun with other settings: {'; '.join(changed[:_SHOWN])}{more}. "
            "Name a new folder, or set them as they were"
        )


def _load(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as a configuration: {error}") from error


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, value


def _is_below(key: str, tops: Sequence[str]) -> bool:
    return any(key == top or key.startswith(f"{top}.") for top in tops)
