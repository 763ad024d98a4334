"""What formulas among the losses of a comparison are computed with: the numerics asked for, or those of the study."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, get_type_hints

import yaml
from jsonargparse import ArgumentError

from lightning_modules.check.sources import LossSources
from lightning_modules.cli.named_settings import named_settings
from lightning_modules.cli.option_values import OfText, read_from
from lightning_modules.cli.shorthand import Shorthand, spell_out
from lightning_modules.cli.verb_parser import VerbParser
from lightning_modules.compare.settings import CompareSettings
from lightning_modules.losses import BCE
from lightning_modules.search.study import named_study

_GROUP, _NAMES = "compare", ("numerics", "study")
_OPTIONS = tuple(f"--{_GROUP}.{name}{end}" for name in _NAMES for end in ("=", "."))


def of_compared_text(arguments: Sequence[str]) -> OfText:
    """Return what makes losses of texts, those of formulas as the option ``formulas`` does.

    Args:
        arguments: The arguments after the verb, which may name numerics and a study, in configurations too.
    """
    return read_from(lambda: _sources(arguments))


def _sources(arguments: Sequence[str]) -> LossSources:
    # The losses do not count here, and to read one may take a study.
    spelled = spell_out(arguments, Shorthand.of(CompareSettings, f"{_GROUP}.", lambda _: BCE()))
    settings = _settings([*_in_question(spelled)])
    first = next((named_study(text)[0] for text in settings.studies), None)
    return LossSources(first, settings.numerics)


def _settings(arguments: Sequence[str]) -> CompareSettings:
    parser, hints = VerbParser(exit_on_error=False), get_type_hints(CompareSettings)
    parser.add_argument("--config", action="config")
    for name in _NAMES:
        parser.add_argument(f"--{_GROUP}.{name}", type=hints[name], default=None)
    # What cannot be read is refused when all options are parsed.
    with suppress(ArgumentError):
        return CompareSettings(**vars(parser.instantiate(parser.parse_args(arguments))[_GROUP]))
    return CompareSettings()


def _in_question(spelled: Sequence[str]) -> Iterator[str]:
    """Yield the options of a command line that name numerics or a study, and what its configurations say of these."""
    configurations = named_settings(spelled)
    for argument in spelled:
        if argument.partition("=")[0] in ("--config", "-c"):
            yield f"--config={_reduced(next(configurations, None))}"
        elif argument.startswith(_OPTIONS):
            yield argument


def _reduced(settings: Mapping[str, Any] | None) -> str:
    section = (settings or {}).get(_GROUP)
    kept = {name: section[name] for name in _NAMES if name in section} if isinstance(section, Mapping) else {}
    # As YAML, since JSON has no numbers without end.
    return str(yaml.safe_dump({_GROUP: kept} if kept else {}, default_flow_style=True, width=math.inf))
