"""Makes a page of ``--help`` of a parser: a line or two for each option, with its default, without paths of types."""

import json
import re
import sys
from argparse import SUPPRESS, Action
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import docstring_parser
from jsonargparse import DefaultHelpFormatter

from lightning_modules.cli.help_page import HelpPage
from lightning_modules.cli.registry import SIZES, named
from lightning_modules.cli.type_hints import bases_in

_PLACEHOLDERS: Mapping[Any, str] = {int: "N", float: "NUMBER", str: "TEXT", bool: "{true,false}"}
_CHOOSE = "--{0}.help NAME lists {1}, --{0}.ARGUMENT VALUE sets one"
#: Titles of sections by what they begin with, in the order in which they follow a verb's own options.
_SHARED = {
    "model": f"Model ({_CHOOSE.format('model', 'its arguments')})",
    "data": f"Data ({_CHOOSE.format('data', 'its arguments')})",
    "help": "General",
    "trainer.": "Lightning's Trainer (in search, compare and polish, the recipe of every training)",
}
_OWN = {"run": "Argument", "ckpt_path": "Checkpoint"}
#: Descriptions of options that verbs share.
_WORDS = {
    "config": "YAML or JSON file of settings; later files, and options, lie on top",
    "print_config": "Print all settings as a file that --config takes, and end",
    "seed_everything": "Seed of the run; true draws one",
    "ckpt_path": "Checkpoint file, or last: the newest of the same model, data and seed",
    **dict.fromkeys(("model", "data"), "Its name, or package.module.Class for one of yours"),
}
_REFERENCE = re.compile(r"See :class:`~?(?:[\w.]*\.)?(\w+)`\.?")
_MARKUP = re.compile(r":\w+:`~?(?:[\w.]+\.)?(\w+)`|``([^`]*)``|`([^`]*)`")


class PageAsJson(DefaultHelpFormatter):
    """Collects what a parser says of itself in a page, a verb's own options first and without prefix.

    Args:
        prog: The program and its verb.
        settings: Settings of :class:`argparse.HelpFormatter`.
    """

    def __init__(self, prog: str, **settings: Any) -> None:
        super().__init__(prog, **settings)  # type: ignore[no-untyped-call]
        self._prefix = f"--{prog.split()[-1]}."
        self._page, self._heading = HelpPage(), ""

    def add_usage(self, usage: str | None, *_: Any, **__: Any) -> None:
        """Take the usage, unless it would only repeat all options."""
        self._page.usage = usage or ""

    def add_text(self, text: str | None) -> None:
        """Take a paragraph: the description, or after the sections the epilog."""
        if text and self._page.options:
            self._page.epilog = text
        elif text:
            self._page.description = text

    def start_section(self, heading: str | None) -> None:
        """Begin a section."""
        self._heading = _plain(heading or "")

    def add_arguments(self, actions: Iterable[Action]) -> None:
        """Take the options of a section, with a line for all but those of which its title tells."""
        shown = [action for action in actions if action.help != SUPPRESS]
        actions = [action for action in shown if not action.option_strings or action.option_strings[0][0] == "-"]
        for action in actions:
            self._page.options |= dict.fromkeys(action.option_strings, hasattr(action, "_typehint"))
        of_classes = [each for each in actions if each.dest.endswith(".help")]
        loaded = {each.dest.rpartition(".")[0] for each in actions if each not in of_classes}
        listed = [each for each in actions if each not in of_classes and each.dest not in loaded]
        if listed:
            title = _title(self._heading, listed[0].dest, names_classes=bool(of_classes))
            self._page.sections.append((title, [(_flags(each, self._prefix), _text(each)) for each in listed]))

    def end_section(self) -> None:
        """End a section."""

    def format_help(self) -> str:
        """Return the page as JSON."""
        order = [*_SHARED.values()]
        self._page.sections.sort(key=lambda each: order.index(each[0]) if each[0] in order else -1)
        return json.dumps(asdict(self._page))


def _title(heading: str, first: str, *, names_classes: bool) -> str:
    """Return the title of a section that has this heading in the parser and begins with this option."""
    section = f"{first.rpartition('.')[0]}." if "." in first else first
    title = {**_SHARED, **_OWN}.get(section, heading)
    is_own = title.startswith("Options of ")
    return f"{title} ({_CHOOSE.format('OPTION', 'the arguments of a class')})" if is_own and names_classes else title


def _flags(action: Action, prefix: str) -> str:
    flags = [flag for flag in action.option_strings if not flag.endswith("+")]
    names = [flag.replace(prefix, "--") for flag in flags] or ["RUN"]
    if not flags or action.nargs == 0 or action.dest == "print_config":
        return ", ".join(names)
    return f"{', '.join(names)} {_placeholder(_hint(action), takes_several=names != flags or '.' not in flags[-1])}"


def _text(action: Action) -> str:
    text = _WORDS.get(action.dest) or _plain(" ".join(_resolved(action.help or "", action.dest).split()))
    if action.dest.startswith("trainer."):
        text = re.split(r"(?<=[\w)'][.]) (?=[A-Z])", text)[0]
    notes = "; ".join(_notes(action))
    return f"{text.rstrip('. ')} ({notes})" if notes else text.rstrip(". ")


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
    if any(base.__module__.startswith("lightning_modules.") or named(base) for base in bases_in(hint)):
        return "NAME"
    one_or_several = [each for each in arguments if _is_list(each) and {*arguments} == {each, *get_args(each)}]
    return _placeholder(one_or_several[0], takes_several=takes_several) if one_or_several else "VALUE"


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
