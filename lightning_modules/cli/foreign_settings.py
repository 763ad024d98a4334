"""Settings of an untrusted folder, of which only numbers, text and allowed classes are taken.

A configuration file is code, since it may name any class or function and its arguments. Here only the project's own
classes and torch's optimizers are allowed, and no module is imported.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Callable as AnyCallable
from contextlib import suppress
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import yaml
from pytorch_lightning.utilities import rank_zero_warn
from torch.optim import Optimizer

from lightning_modules.cli.named_settings import named_settings
from lightning_modules.cli.registry import named
from lightning_modules.cli.type_hints import argument_hints, bases_in
from lightning_modules.core.run_config import CONFIG_NAME
from lightning_modules.search.study import Study, named_study, settings_of
from lightning_modules.utilities.messages import shortened
from lightning_modules.utilities.serialization import imported_class

_PROJECT = ("lightning_modules", "datamodules")
_PLAIN = (str, int, float, bool, NoneType, Path)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
#: Options of the Trainer that are numbers or words, and no paths.
_OF_TRAINERS = (
    *("accelerator", "devices", "precision", "deterministic", "benchmark", "inference_mode", "detect_anomaly"),
    *("gradient_clip_val", "gradient_clip_algorithm", "accumulate_grad_batches", "use_distributed_sampler"),
    *("limit_train_batches", "limit_val_batches", "limit_test_batches", "val_check_interval", "overfit_batches"),
    *("reload_dataloaders_every_n_epochs", "sync_batchnorm", "num_nodes", "log_every_n_steps"),
)
#: Options of the Trainer that are code or paths, and values of them that change nothing.
_CODE = ("callbacks", "logger", "plugins", "strategy", "profiler", "default_root_dir")
#: Options of data that fetch files and write them to a folder.
_DOWNLOADS = ("download",)
_NOTHING: tuple[Any, ...] = (None, True, False, "auto", [], {})
_SHOWN = 60


def known_section(name: str, section: Any) -> dict[str, Any]:
    """Return the section ``model`` or ``data`` of an untrusted configuration.

    Args:
        name: The section's name.
        section: What the file holds of it.

    Raises:
        ValueError: If it is no class with arguments, or names a class that is not allowed.
    """
    if not isinstance(section, Mapping) or not isinstance(section.get("class_path"), str):
        raise ValueError(f"its section {name} names no class: {shortened(str(section), _SHOWN)}")
    found: dict[str, Any] = _known(section, Any, name)
    return found


def without_downloads(name: str, section: Mapping[str, Any], path: str | Path) -> dict[str, Any]:
    """Return a section of untrusted settings without its options that download, and warn of each that was set.

    Args:
        name: The section's name, as in the names of its options.
        section: The section, with ``class_path`` and ``init_args``, or arguments.
        path: The file that it is from.
    """
    kept = {}
    for key, value in section.items():
        place = name if key in ("init_args", "dict_kwargs") else f"{name}.{key}"
        if isinstance(value, Mapping):
            kept[key] = without_downloads(place, value, path)
        elif key not in _DOWNLOADS:
            kept[key] = value
        elif value:
            rank_zero_warn(
                f"of '{path}' {place} is left out, since the file may be anybody's; if you want the data to be "
                f"downloaded, add --{place} true"
            )
    return kept


def plain_trainer(section: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the numbers and words of an untrusted section ``trainer``, and the names of code that is left out.

    Raises:
        ValueError: If it holds no options of a Trainer.
    """
    if not isinstance(section, Mapping):
        raise ValueError(f"its section trainer holds no options: {shortened(str(section), _SHOWN)}")
    taken = {name: value for name, value in section.items() if name in _OF_TRAINERS and _is_plain(value)}
    return taken, [name for name in _CODE if section.get(name) not in _NOTHING]


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(type(each) is int for each in value)
    return isinstance(value, _PLAIN) and not (isinstance(value, str) and _DOTTED.fullmatch(value))


def _known(value: Any, hint: Any, place: str) -> Any:
    """Return a value with class paths in place of what might be read as a file or imported."""
    if isinstance(value, Mapping):
        return _known_class(value, place) if "class_path" in value else _known_items(value, lambda _: Any, place)
    if isinstance(value, list):
        return [_known(each, hint, place) for each in value]
    if not isinstance(value, str) or _is_text(hint):
        return value
    if _known_type(value) is not None:
        return {"class_path": value}
    if _IDENTIFIER.fullmatch(value) and not _takes_classes(hint):
        return value
    raise ValueError(f"its {place} is '{shortened(value, _SHOWN)}', which might be a file of settings or a function")


def _known_class(spec: Mapping[Any, Any], place: str) -> dict[str, Any]:
    path = spec["class_path"]
    cls = _known_type(path) if isinstance(path, str) else None
    if cls is None:
        raise ValueError(
            f"its {place} is of the class {shortened(str(path), _SHOWN)}, which is none of the project's own"
        )
    hints = argument_hints(cls)
    rest = {name: value for name, value in spec.items() if name != "class_path"}
    if not {*rest} <= {"init_args", "dict_kwargs"} or not all(isinstance(each, Mapping) for each in rest.values()):
        raise ValueError(f"the arguments of its {place} are no names with values")
    return {
        "class_path": path,
        **{name: _known_items(value, lambda key: hints.get(key, Any), place) for name, value in rest.items()},
    }


def _known_items(items: Mapping[Any, Any], hint: Callable[[Any], Any], place: str) -> dict[str, Any]:
    return {str(key): _known(value, hint(key), shortened(f"{place}.{key}", _SHOWN)) for key, value in items.items()}


def _known_type(path: str) -> type | None:
    """Return a class of the project, or one of torch's optimizers, by its path or name; ``None`` for any other."""
    cls = named(object).get(path) or imported_class(path, object)
    if cls is None or cls.__module__.partition(".")[0] in _PROJECT:
        return cls
    return cls if issubclass(cls, Optimizer) and cls.__module__.startswith("torch.optim.") else None


def _is_text(hint: Any) -> bool:
    """Return whether a value of this type can be nothing but a text, a number, or several of them."""
    if get_origin(hint) is Literal:
        return True
    parts = [each for each in get_args(hint) if each is not Ellipsis]
    if get_origin(hint) is AnyCallable:
        return False
    return all(map(_is_text, parts)) if parts else hint in _PLAIN


def _takes_classes(hint: Any) -> bool:
    return any(base not in _PLAIN for base in bases_in(hint))


_SECTIONS = ("model", "data")


def with_study_settings(arguments: Sequence[str], group: str) -> list[str]:
    """Return a command line with the study's own settings in front, unless it or its files name a model or data.

    Of several studies the first one is taken.

    The Trainer's epochs are not taken, since a comparison trains longer than a search trains its candidates. The folder
    is not trusted, so that nothing in it is executed, unless the command line says that it is.

    Args:
        arguments: The arguments after the verb, spelled out.
        group: The options ``--group.study``, followed by ``=`` and a folder, a reference, or a list of them, names the
            studies, and ``--group.trust_study`` says whether they are trusted.

    Raises:
        FileNotFoundError: If the folder holds no study.
        ValueError: If the study's settings cannot be read, or name a class that is not the project's.
    """
    study = _first_study(_values(arguments, f"--{group}.study"))
    if study is None or _name_sections(arguments):
        return list(arguments)
    settings = settings_of(Path(study))
    if not settings:
        # Raises if there is no study, for which the model would be called missing.
        Study.read(study)
    trusted = _values(arguments, f"--{group}.trust_study")[-1:] == ["true"]
    chosen = _trusted(settings, group) if trusted else _chosen(settings, Path(study) / CONFIG_NAME)
    return [f"--config={json.dumps(chosen, default=str)}", *arguments] if chosen else list(arguments)


def _name_sections(arguments: Sequence[str]) -> bool:
    """Return whether a command line or one of its files names a model or data, were it that there is none."""
    if any(each.partition("=")[0] in ("--model", "--data") for each in arguments):
        return True
    return any(settings is None or not settings.keys().isdisjoint(_SECTIONS) for settings in named_settings(arguments))


def _values(arguments: Sequence[str], option: str) -> list[str]:
    return [each.partition("=")[2] for each in arguments if each.startswith(f"{option}=")]


def _trusted(settings: Mapping[str, Any], group: str) -> dict[str, Any]:
    """Return model, data and metric of a study as they are, and its Trainer without code."""
    search = settings.get("search", {})
    metric = {name: search[name] for name in ("monitor", "mode") if name in search}
    chosen = {name: settings[name] for name in _SECTIONS if name in settings}
    return {**chosen, group: metric, "trainer": plain_trainer(settings.get("trainer", {}))[0]}


def _first_study(values: Sequence[str]) -> str | None:
    """Return the folder of the first study that the last of the option's values names; ``None`` if there is none."""
    named: Any = values[-1] if values else None
    if named is not None and named.startswith("["):
        # A list that cannot be read is refused by the parser.
        with suppress(yaml.YAMLError, RecursionError):
            named = next(iter(yaml.safe_load(named)), None)
    return named_study(named)[0] if isinstance(named, str) and named not in ("", "null") else None


def _chosen(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    try:
        chosen = {name: known_section(name, settings[name]) for name in _SECTIONS if name in settings}
        trainer, left_out = plain_trainer(settings.get("trainer", {}))
    except ValueError as error:
        raise ValueError(
            f"'{path}' is not taken over: {error}. Name --model and --data with their arguments, or, if the "
            "file is your own, add --trust_study true, which imports and runs what it names"
        ) from error
    if left_out:
        rank_zero_warn(
            f"of '{path}' the trainer's {', '.join(left_out)} are left out, since the file may be anybody's; "
            "name them on the command line if the comparison is to have them"
        )
    if "data" in chosen:
        chosen["data"] = without_downloads("data", chosen["data"], path)
    return {**chosen, "trainer": trainer} if trainer else chosen
