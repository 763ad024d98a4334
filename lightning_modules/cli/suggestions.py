"""What to say of a name that nobody knows: an option, an argument, a class or a file, with those that it may mean."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from lightning_modules.utilities.messages import listed, shortened

#: Arguments of the optimizer, which are often taken for those of the model.
_OF_OPTIMIZERS = {"lr": "lr", "learning_rate": "lr", "weight_decay": "weight_decay"}
#: What else people call an option.
_ALSO_CALLED = {
    "timeout": ("time_budget", "patience"),
    "time_limit": ("time_budget",),
    "max_time": ("time_budget",),
    "early_stopping": ("patience",),
}
_LONGEST_SHOWN = 100
# Names of a folder that a message has room for.
_MOST_SHOWN = 12


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question after one or two known names that look like this one; nothing if none does."""
    by_lower = {each.lower(): each for each in known}
    return question([by_lower[each] for each in get_close_matches(name.lower(), by_lower, n=2, cutoff=0.7)])


def question(names: Sequence[str]) -> str:
    """Return the question whether one of these names was meant."""
    return f"; did you mean {' or '.join(names)}?" if names else ""


def unknown_option(name: str, options: Iterable[str], arguments: Mapping[str, Mapping[str, Collection[str]]]) -> str:
    """Return what is said of an option that a verb does not have.

    Args:
        name: The option, or a value that belongs to none.
        options: The verb's options.
        arguments: The arguments of all classes of ``model`` and ``data``, by their names.
    """
    bare, shown = name.lstrip("-"), shortened(name, _LONGEST_SHOWN)
    if bare == name:
        hint = question([f"--{section} {name}" for section, classes in arguments.items() if name in classes])
        return f"'{shown}' belongs to no option: options begin with --, and lists are written [a,b]{hint}"
    homes = [section for section, classes in arguments.items() if any(bare in known for known in classes.values())]
    named = [_of_optimizer(bare)] if bare in _OF_OPTIMIZERS else [f"--{section}.{bare}" for section in homes]
    hint = question(_by_another_name(bare, options)) or did_you_mean(name, options) or question(named)
    return f"there is no option {shown}{hint}"


def _by_another_name(name: str, options: Iterable[str]) -> list[str]:
    """Return the options that an option of other programs may mean."""
    meant = _ALSO_CALLED.get(name.rpartition(".")[2], ())
    return [option for each in meant for option in options if option.rpartition(".")[2] == each]


def unknown_argument(name: str, cls: str, arguments: Collection[str]) -> str:
    """Return what is said of an argument that a class does not have."""
    if name in _OF_OPTIMIZERS and "optimizer" in arguments:
        hint = question([_of_optimizer(name)])
    else:
        hint = did_you_mean(name, arguments) or (f"; it has {', '.join(arguments)}" if arguments else "")
    return f"{cls} has no argument '{shortened(name, _LONGEST_SHOWN)}'{hint}"


def unknown_class(name: str, option: str, own: Sequence[str], others: Iterable[str] = ()) -> str:
    """Return what is said of a class that an option does not take.

    Args:
        name: The class.
        option: The option.
        own: The project's classes that it takes.
        others: Further classes that it takes.
    """
    hint = did_you_mean(name.rpartition(".")[2], {*own, *others})
    return f"--{option}: there is no class '{shortened(name, _LONGEST_SHOWN)}'{hint or _there_are(own)}"


def class_of_another_kind(name: str, option: str, kinds: Iterable[str], own: Sequence[str]) -> str:
    """Return what is said of a class that is known, but none of the kinds that an option takes.

    Args:
        name: The class.
        option: The option.
        kinds: The names of the base classes that it takes.
        own: The project's classes that it takes.
    """
    return f"--{option}: {name} is no {' or '.join(kinds)}{_there_are(own)}"


def without_class(option: str, own: Sequence[str]) -> str:
    """Return what is said of an argument of a class that is not named."""
    return f"--{option} needs a class before its arguments: --{option} NAME{_there_are(own)}"


def missing_path(option: str, path: str) -> str:
    """Return what is said of a file or folder that is not there."""
    folder = Path(path).absolute().parent
    try:
        names = sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))
    except OSError:
        names = []
    similar = did_you_mean(Path(path).name, names)
    held = f"; {folder} holds {listed(names, _MOST_SHOWN, ', ')}" if names and not similar else ""
    return f"{option}: there is no {shortened(path, _LONGEST_SHOWN)}{similar}{held}"


def _there_are(names: Sequence[str]) -> str:
    return f"; there are {', '.join(names)}" if names else ""


def _of_optimizer(name: str) -> str:
    # Its class has to be named, since the default one is none on the command line.
    return f"--model.optimizer Adam --model.optimizer.{_OF_OPTIMIZERS[name]}"
