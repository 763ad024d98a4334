"""Takes model and data from a checkpoint where the command line does not name them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytorch_lightning import LightningDataModule, LightningModule
from pytorch_lightning.utilities import rank_zero_warn

from lightning_modules.cli.foreign_settings import without_downloads
from lightning_modules.cli.registry import SIZES, knows_sizes
from lightning_modules.cli.verbs import values_of
from lightning_modules.core.run_config import flattened
from lightning_modules.utilities.messages import listed, shortened
from lightning_modules.utilities.serialization import imported_class, load_checkpoint

#: Keys of a checkpoint that hold the arguments of model and data, class path included.
_KEYS = {
    "model": LightningModule.CHECKPOINT_HYPER_PARAMS_KEY,
    "data": LightningDataModule.CHECKPOINT_HYPER_PARAMS_KEY,
}
_CLASS = "_class_path"
#: Values of ``--ckpt_path`` that are no file.
_WORDS = ("last", "best", "hpc", "registry")
#: Options that may differ: those that change no metric, and the sizes that come from the data.
_FREE = ("data.batch_size", "data.eval_batch_size", "data.download", *(f"model.{size}" for size in SIZES))
_SHOWN, _LONGEST = 5, 100

#: A section of a configuration: ``class_path`` and ``init_args``.
Section = dict[str, Any]


def with_checkpoint_settings(arguments: Sequence[str]) -> list[str]:
    """Return a command line with the model and data of its checkpoint in front, so that given options override them.

    If ``--data`` names another class, the checkpoint's data are not taken.

    Args:
        arguments: The arguments after the verb, spelled out.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If the file is no checkpoint, or its model is of a class that has to be named.
    """
    path = _value(arguments, "--ckpt_path")
    if path is None or path.partition(":")[0] in _WORDS or "://" in path:
        return list(arguments)
    stored = stored_sections(path).items()
    sections = {name: section for name, section in stored if _is_wanted(path, name, section, arguments)}
    if "model" in sections:
        sections["model"] = _without_sizes(sections["model"])
    if "data" in sections:
        sections["data"] = without_downloads("data", sections["data"], path)
    return [f"--config={json.dumps(sections)}", *arguments] if sections else list(arguments)


def _is_wanted(path: str, name: str, section: Section, arguments: Sequence[str]) -> bool:
    given = _value(arguments, f"--{name}")
    unknown = [each for each in _unimported(section) if each != given]
    if unknown and given is None and _value(arguments, "--config") is None:
        raise ValueError(_not_imported(path, name, unknown[0]))
    is_same = given in (None, _class_name(section)) or _is_same_class(given, section["class_path"])
    return not unknown and (is_same or name == "model")


def stored_sections(path: str) -> dict[str, Section]:
    """Return the sections ``model`` and ``data`` that a checkpoint holds.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If the file is no checkpoint.
    """
    checkpoint = load_checkpoint(path, "name one that fit has written")
    held = {name: checkpoint.get(key) for name, key in _KEYS.items()} if isinstance(checkpoint, Mapping) else {}
    return {name: _section(each) for name, each in held.items() if isinstance(each, Mapping) and _CLASS in each}


def _section(arguments: Mapping[str, Any]) -> Section:
    own = {name: each for name, each in arguments.items() if not str(name).startswith("_") and _is_plain(each)}
    return {"class_path": str(arguments[_CLASS]), "init_args": own}


def _without_sizes(model: Section) -> Section:
    return {**model, "init_args": {name: each for name, each in model["init_args"].items() if name not in SIZES}}


def agreed_model(path: str, given: Mapping[str, Any]) -> Section | None:
    """Return the model of a checkpoint, and warn of given settings that differ from the checkpoint's.

    Args:
        path: The checkpoint.
        given: The sections of the configuration by name.

    Returns:
        The model's section, without sizes if the data give them; ``None`` if the checkpoint names no class.

    Raises:
        ValueError: If the model's class is another, or a class of the checkpoint is not imported.
    """
    sections = stored_sections(path)
    _check_agreement(path, given, sections)
    if "model" not in sections:
        return None
    has_sizes = "data" in given and knows_sizes(given["data"])
    return _without_sizes(sections["model"]) if has_sizes else sections["model"]


def other_sizes(path: str, model: LightningModule) -> str:
    """Return what is said of a model whose sizes are not those of a checkpoint; nothing if they agree.

    Args:
        path: The checkpoint.
        model: The model, with the sizes of the data.

    Raises:
        ValueError: If the file is no checkpoint.
    """
    stored = stored_sections(path).get("model", {}).get("init_args", {})
    now = json.loads(json.dumps({name: model.hparams[name] for name in SIZES if name in model.hparams}, default=str))
    differing = [name for name in SIZES if name in stored and name in now and stored[name] != now[name]]
    if not differing:
        return ""
    trained, given = (" and ".join(_size(name, sizes[name]) for name in differing) for sizes in (stored, now))
    return (
        f"the model of '{path}' was trained with {trained}, and these data have {given}. Give the data of its "
        "training with --data, or train another model on these: fit without --ckpt_path"
    )


def _size(name: str, size: Any) -> str:
    """Return a size in words, such as ``600 users`` for 600 of ``num_users``."""
    words = name.removeprefix("num_").replace("_", " ")
    if isinstance(size, int):
        return f"{size:,} {words}{' features' if name == 'num_numerical' else ''}"
    return f"the {words} {shortened(str(size), _LONGEST)}"


def _check_agreement(path: str, given: Mapping[str, Any], sections: Mapping[str, Section]) -> None:
    for name, section in sections.items():
        unknown = _unimported(section)
        if unknown:
            raise ValueError(_not_imported(path, name, unknown[0]))
    differences = {name: _differences(name, given.get(name) or {}, section) for name, section in sections.items()}
    if "model" in differences.get("model", {}):
        raise ValueError(f"'{path}' holds another model: {_listed({'model': differences['model']['model']})}")
    if differences.get("model"):
        rank_zero_warn(f"the model is as in '{path}', whatever else was given: {_listed(differences['model'])}")
    if differences.get("data"):
        rank_zero_warn(f"the data are not as in the training of '{path}': {_listed(differences['data'])}")


def _differences(name: str, given: Any, section: Section) -> dict[str, tuple[Any, Any]]:
    """Return given and stored value of the options that both have and that differ."""
    now, stored = (dict(flattened(json.loads(json.dumps(each, default=str)), name)) for each in (given, section))
    options = {key: key.replace(".init_args", "").replace(".class_path", "") for key in now if key in stored}
    differs = [
        key
        for key, option in options.items()
        if now[key] != stored[key] and option not in _FREE and not _is_same_class(now[key], stored[key])
    ]
    if f"{name}.class_path" in differs:
        differs = [f"{name}.class_path"]
    return {options[key]: (now[key], stored[key]) for key in differs}


def _listed(differences: Mapping[str, tuple[Any, Any]]) -> str:
    texts = [f"--{option} is {given}, there {stored}" for option, (given, stored) in differences.items()]
    return listed(texts, _SHOWN)


def _unimported(section: Section) -> list[str]:
    """Return the classes of a section that are not imported yet: a checkpoint must not choose what code is run."""
    return [path for path in _class_paths(section) if "." in path and imported_class(path, object) is None]


def _class_paths(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from (str(value[name]) for name in ("class_path",) if name in value)
        value = [*value.values()]
    if isinstance(value, list | tuple):
        for inner in value:
            yield from _class_paths(inner)


def _not_imported(path: str, name: str, cls: str) -> str:
    return (
        f"'{path}' has a {name} of the class {cls}, which is imported only if it is named: add --{name} {cls}, or "
        "the option that it was given with"
    )


def _is_same_class(first: Any, second: Any) -> bool:
    """Return whether two paths lead to one class, which a package and its module give different paths."""
    found = imported_class(str(first), object)
    return first == second or (found is not None and found is imported_class(str(second), object))


def _class_name(section: Section) -> str:
    return str(section["class_path"]).rpartition(".")[2]


def _value(arguments: Sequence[str], option: str) -> str | None:
    """Return what follows an option, the last time that it is there."""
    return next(reversed([*values_of(arguments, option)]), None)


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
