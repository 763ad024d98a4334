"""Settings and data that a folder was begun with, and refusing to continue it with others."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lightning_modules.utilities.files import replace_file
from lightning_modules.utilities.messages import listed, shortened
from lightning_modules.utilities.untrusted_data import SettingsError, read_settings

# Data and default optimizer are imported where they are used: whoever only reads a study does without Lightning.
if TYPE_CHECKING:
    from datamodules.fingerprint import Fingerprint

#: Names of the settings, of the data's fingerprint and of the report inside a folder.
CONFIG_NAME, DATA_NAME, REPORT_NAME = "config.yaml", "data.json", "report.html"
#: Arguments of torch's optimizers that say how a step is computed, not what it is.
OPTIMIZER_IMPLEMENTATION = frozenset({"foreach", "fused", "capturable", "differentiable"})
#: Settings of data that no row depends on.
_NO_ROWS = tuple(f"data.init_args.{name}" for name in ("batch_size", "eval_batch_size", "seed", "download"))
_SHOWN, _LONGEST = 5, 200


def continue_with(
    path: Path,
    save: Callable[[Path], object],
    *,
    fixed: Sequence[str],
    without: Sequence[str] = (),
    added: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write a configuration file, unless the one there differs in what must stay.

    Args:
        path: The configuration file; its folder is made.
        save: Writes the new configuration to a path.
        fixed: Dotted keys that must stay, with everything below them.
        without: Dotted keys below those that may change.
        added: Dotted keys that files of earlier versions lack, with the values that they had there.

    Raises:
        OSError: If the file cannot be written.
        ValueError: If a setting differs, or the file there cannot be read.
    """

    def check_and_save(temporary: Path) -> None:
        save(temporary)
        if path.exists():
            _refuse_changes(path, changed_settings(path, temporary, fixed=fixed, without=without, added=added))

    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, check_and_save)


def _refuse_changes(path: Path, changed: Sequence[str]) -> None:
    if changed:
        raise ValueError(
            f"'{path.parent}' was begun with other settings: {listed(changed, _SHOWN)}. "
            "Name a new folder, or set them as they were"
        )


def continue_with_data(folder: Path, datamodule: object, *, begun: bool) -> None:
    """Write the fingerprint of the data, or refuse other data than the folder was begun with.

    Args:
        folder: The folder, which is there.
        datamodule: The data; one without a fingerprint is said not to be checked.
        begun: Whether anything is there that depends on the data.

    Raises:
        OSError: If the fingerprint cannot be written.
        ValueError: If the data differ, or the file there holds no fingerprint.
    """
    from datamodules.same_data import HasFingerprint

    if begun:
        refuse_other_data(folder, datamodule, "name a new folder")
    elif isinstance(datamodule, HasFingerprint):
        text = json.dumps(datamodule.fingerprint().plain(), indent=1)
        replace_file(folder / DATA_NAME, lambda path: path.write_text(text, encoding="utf-8"))
    else:
        # Of a datamodule that was replaced by another.
        (folder / DATA_NAME).unlink(missing_ok=True)


def refuse_other_data(folder: Path, datamodule: object, remedy: str) -> None:
    """Refuse other data than a folder was begun with, or warn that they cannot be checked.

    Raises:
        ValueError: If the data differ, or the file there holds no fingerprint.
    """
    path = folder / DATA_NAME
    from datamodules.same_data import refuse_other_rows

    refuse_other_rows(_load_json(path) if path.is_file() else None, datamodule, f"'{folder}'", remedy)


def refuse_changed_data(study: Path, save_config: Callable[[Path], object], datamodule: object) -> None:
    """Refuse data that are named as a study's settings name them, and are others than it was begun with.

    Args:
        study: Folder of the study.
        save_config: Writes the configuration of now to a path.
        datamodule: The data of now.

    Raises:
        ValueError: If the data differ, or a file of the study cannot be read.
    """
    before = study / CONFIG_NAME
    if before.is_file():
        with current_settings(save_config) as now:
            others = changed_settings(before, now, fixed=("data",), without=_NO_ROWS)
        if not others:
            refuse_other_data(study, datamodule, "name these by another path with --data")


def other_beginnings(folder: Path, other: Path) -> list[str]:
    """Return how the models and data differ with which two folders were begun, a text a difference.

    What a folder does not tell is taken to be the same. The loss that a model would be fitted with is no difference.

    Raises:
        ValueError: If a file there cannot be read.
    """
    configs, prints = ([each / name for each in (folder, other)] for name in (CONFIG_NAME, DATA_NAME))
    known = all(path.is_file() for path in prints)
    rows = _fingerprint(prints[0]).differences(_fingerprint(prints[1])) if known else []
    if not all(path.is_file() for path in configs):
        return rows
    fixed = ("model",) if known else ("model", "data")
    return rows + changed_settings(*configs, fixed=fixed, without=("model.init_args.loss", *_NO_ROWS))


def _fingerprint(path: Path) -> "Fingerprint":
    from datamodules.fingerprint import Fingerprint

    try:
        return Fingerprint.from_plain(_load_json(path))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as the fingerprint of data: {error}") from error


@contextmanager
def current_settings(save_config: Callable[[Path], object]) -> Iterator[Path]:
    """Yield a file that holds the configuration of now."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / CONFIG_NAME
        save_config(path)
        yield path


def _load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as the fingerprint of data: {error}") from error


def changed_settings(
    before: Path,
    now: Path,
    *,
    fixed: Sequence[str],
    without: Sequence[str] = (),
    added: Mapping[str, Any] = MappingProxyType({}),
) -> list[str]:
    """Return what differs between two configuration files, a text a setting; see :func:`continue_with`.

    How an optimizer computes its steps is no difference.

    Raises:
        OSError: If a file is not there.
        ValueError: If a file cannot be read as a configuration.
    """
    old, new = ({**added, **dict(flattened(_load(path)))} for path in (before, now))
    named = [key for key in {**old, **new} if _is_below(key, fixed) and not _is_below(key, without)]
    keys = [key for key in named if not _is_implementation(key)]
    return [_difference(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def _difference(key: str, old: Any, new: Any) -> str:
    name, before, now = (shortened(str(each), _LONGEST) for each in (key, old, new))
    return f"{name} was {before} and is {now}"


def _load(path: Path) -> Any:
    from lightning_modules.core.default_optimizer import with_explicit_optimizer

    try:
        # A null of a model's optimizer stands for what a newer file writes out.
        return with_explicit_optimizer(read_settings(path))
    except SettingsError as error:
        raise ValueError(f"{path} cannot be read as a configuration: {error}") from error


def flattened(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the settings below a key by their dotted keys; a list is one setting."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from flattened(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, value


def _is_implementation(key: str) -> bool:
    parent, _, name = key.rpartition(".")
    return parent.endswith("optimizer.init_args") and name in OPTIMIZER_IMPLEMENTATION


def _is_below(key: str, tops: Sequence[str]) -> bool:
    return any(key == top or key.startswith(f"{top}.") for top in tops)
