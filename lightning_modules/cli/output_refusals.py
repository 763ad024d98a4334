"""Folders that nothing can be written to, which are refused before anything is read or trained."""

import os
from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from lightning_modules.utilities.messages import shortened
from lightning_modules.utilities.processes import is_first

#: Options of all verbs that name a folder to write to, and those that name a file.
_FOLDERS = (
    *("root", "search.root", "compare.root", "polish.root"),
    *("trainer.default_root_dir", "trainer.logger.init_args.save_dir"),
)
_FILES = ("output", "predict.output")
_LONGEST, _ADVICE = 200, "; name another folder"


def refuse_unwritable(config: Mapping[str, Any]) -> None:
    """Refuse outputs whose folder cannot be made, or be written to.

    Args:
        config: A verb's configuration.

    Raises:
        ValueError: If there is one; the message names the option.
    """
    # The other processes of a training write nothing of their own.
    if is_first():
        for option, folder in _outputs(config):
            _refuse(option.replace(".init_args", ""), folder.absolute())


def _outputs(config: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """Yield the options that are given, each with its folder."""
    for option in (*_FOLDERS, *_FILES):
        value = reduce(_within, option.split("."), config)
        # An address is for the library that knows it.
        if isinstance(value, str | Path) and "://" not in str(value):
            yield option, Path(value).parent if option in _FILES else Path(value)


def _within(section: Any, name: str) -> Any:
    return section.get(name) if isinstance(section, Mapping) else None


def _refuse(option: str, folder: Path) -> None:
    there = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    if not there.is_dir():
        kind = "a file" if there.is_file() else "no folder"
        raise ValueError(f"--{option}: '{_shown(there)}' is {kind}, so that nothing can be written below it{_ADVICE}")
    try:
        # The only sure test: a system may forbid what the permissions allow.
        with TemporaryFile(dir=there):
            pass
    except OSError as error:
        reason = f"'{_shown(there)}' cannot be written to ({os.strerror(error.errno or 0)})"
        made = "" if there == folder else f", so that '{_shown(folder)}' cannot be made there"
        raise ValueError(f"--{option}: {reason}{made}{_ADVICE}") from error


def _shown(path: Path) -> str:
    return shortened(str(path), _LONGEST)
