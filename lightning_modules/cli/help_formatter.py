"""Formats ``--help``: a line or two for each option, with its default and without paths of types."""

import re
import sys
from argparse import SUPPRESS, Action
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import docstring_parser
from jsonargparse import DefaultHelpFormatter

from lightning_modules.cli.registry import SIZES, bases_in, named

_WIDEST_FLAG = 34
_PLACEHOLDERS: Mapping[Any, str] = {int: "N", float: "NUMBER", str: "TEXT", bool: "{true,false}"}
#: Options that the titles of their sections explain.
_HIDDEN = ("_ActionHelpClassPath", "_ActionConfigLoad", "ActionLink")
#: Descriptions of options that verbs share.
_WORDS = {
    "config": "YAML or JSON file of settings; later files, and options, lie on top",
    "print_config": "Print all settings as a file that --config takes, and end",
    "ckpt_path": "Checkpoint file, or last: the newest of the same model, data and seed",
    "model": "Its name, or package.module.Class for one of yours",
    "data": "Its name, or package.module.Class for one of yours",
}
_REFERENCE = re.compile(r"See :class:`~?(?:[\w.]*\.)?(\w+)`\.?")
_MARKUP = re.compile(r":\w+:`~?(?:[\w.]+\.)?(\w+)`|``([^`]*)``|`([^`]*)`")


class HelpFormatter(DefaultHelpFormatter):
    """Shows a verb's own options without prefix, and the first sentence of Lightning's descriptions.

    Args:
        prog: The program and its verb.
        settings: Settings of :class:`argparse.HelpFormatter`.
    """

    def __init__(self, prog: str, **settings: Any) -> None:
        settings = {"max_help_position": _WIDEST_FLAG, **settings}
        super().__init__(prog, **settings)  # type: ignore[no-untyped-call]
        self._prefix = f"--{prog.split()[-1]}."

    def add_usage(self, usage: str | None, *arguments: Any, **options: Any) -> None:
        """Write the usage, unless it would only repeat all options."""
        if usage is not None:
            super().add_usage(usage, *arguments, **options)

    def start_section(self, heading: str | None) -> None:
        """Begin a section with a title without markup."""
        super().start_section(_plain(heading or ""))

    def add_argument(self, action: Action) -> None:
        """Add an option, unless its section's title tells of it."""
        if type(action).__name__ not in _HIDDEN:
            super().add_argument(action)

    def _format_action_invocation(self, action: Action) -> str:
        flags = [flag for flag in action.option_strings if not flag.endswith("+")]
        if not flags:
            return {"run": "RUN", "subcommand": "VERB"}.get(action.dest, super()._format_action_invocation(action))
        names = [flag.replace(self._prefix, "--") for flag in flags]
        value = _value(action, takes_several=names != flags or "." not in flags[-1])
        return f"{', '.join(names)} {value}".rstrip()

    def _expand_help(self, action: Action) -> str:
        text = _WORDS.get(action.dest) or _plain(" ".join(_resolved(action.help or "", action.dest).split()))
        if action.dest.startswith("trainer."):
            text = re.split(r"(?<=[\w)'][.]) (?=[A-Z])", text)[0]
        notes = "; ".join(_notes(action))
        return f"{text.rstrip('. ')} ({notes})" if notes else text.rstrip(". ")


def _value(action: Action, *, takes_several: bool) -> str:
    if action.nargs == 0 or action.dest == "print_config":
        return ""
    if action.choices:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return _placeholder(_hint(action), takes_several=takes_several)


def _placeholder(hint: Any, *, takes_several: bool = False) -> str:
    """Return what stands for a value of a type."""
    arguments = [each for each in get_args(hint) if each is not NoneType]
    if hint in _PLACEHOLDERS:
        return _PLACEHOLDERS[hint]
    if get_origin(hint) is Literal:
        return "{" + ",".join(map(str, arguments)) + "}"
    if _is_list(hint):
        element = _placeholder(arguments[0])
        return f"{element} ..." if takes_several else f"[{element},...]"
    if len(arguments) == 1 and len(get_args(hint)) == 2:
        return _placeholder(arguments[0], takes_several=takes_several)
    if get_origin(hint) is dict:
        return "{NAME: VALUE}"
    simple = [_PLACEHOLDERS[each] for each in arguments if isinstance(each, type) and each in _PLACEHOLDERS]
    if len(arguments) == len(simple) == 2:
        return "|".join(simple)
    own = [base for base in bases_in(hint) if base.__module__.startswith("lightning_modules.") or named(base)]
    return "NAME" if own else "VALUE"


def _hint(action: Action) -> Any:
    return getattr(action, "_typehint", action.type) or str


def _is_list(hint: Any) -> bool:
    origin = get_origin(hint)
    return isinstance(origin, type) and origin.__name__ in ("list", "Sequence", "tuple")


def _notes(action: Action) -> Iterator[str]:
    names = sorted({name for base in bases_in(_hint(action)) for name in named(base)})
    if len(names) > 1 and not all(name in (action.help or "") for name in names):
        yield f"there are {', '.join(names)}"
    section, _, argument = action.dest.rpartition(".")
    if action.option_strings and action.required:
        yield "taken from the data" if section == "model" and argument in SIZES else "required"
    elif default := _default(action.default):
        yield f"default: {default}"


def _default(value: Any) -> str:
    """Return a default as one would type it; nothing if there is none."""
    if value in (None, SUPPRESS, "", []):
        return ""
    if isinstance(value, dict) and "class_path" in value:
        return str(value["class_path"]).rpartition(".")[2]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_default, value))}]"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _resolved(text: str, option: str) -> str:
    """Return what another class says of an argument, where a docstring only refers to it."""
    reference = _REFERENCE.fullmatch(text.strip())
    if reference is None:
        return text
    modules = [
        module for name, module in sys.modules.items() if name.startswith(("lightning_modules.", "datamodules."))
    ]
    cls = next((found for module in modules if (found := getattr(module, reference[1], None)) is not None), None)
    parameters = docstring_parser.parse(cls.__doc__ or "").params if cls else []
    said = {each.arg_name: each.description or "" for each in parameters}.get(option.rpartition(".")[2], "")
    return _resolved(" ".join(said.split()), option)


def _plain(text: str) -> str:
    return _MARKUP.sub(lambda match: next(part for part in match.groups() if part is not None), text)
