"""What formulas among the losses of a search or a comparison are computed with: numerics and temperature."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
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
from lightning_modules.search.settings import SearchSettings
from lightning_modules.search.study import named_study


def of_compared_text(arguments: Sequence[str]) -> OfText:
    """Return what makes losses of texts, those of formulas as the option ``formulas`` of a comparison does.

    Args:
        arguments: The arguments after the verb, which may name numerics and a study, in configurations too.
    """

    def sources() -> LossSources:
        settings = _FormulaOptions(CompareSettings, "compare", ("numerics", "study")).given(arguments)
        first = next((named_study(text)[0] for text in settings.studies), None)
        return LossSources(first, settings.numerics)

    return read_from(sources)


def of_searched_text(arguments: Sequence[str]) -> OfText:
    """Return what makes losses of texts, those of formulas as a search computes its own.

    Args:
        arguments: The arguments after the verb, which may name numerics and a temperature, in configurations too.
    """

    def sources() -> LossSources:
        settings = _FormulaOptions(SearchSettings, "search", ("numerics", "temperature")).given(arguments)
        return LossSources(None, settings.numerics, settings.temperature)

    return read_from(sources)


@dataclass(frozen=True)
class _FormulaOptions:
    """The options of a verb on which its formulas depend.

    Attributes:
        settings: All options of the verb, a dataclass.
        verb: Its name, which is that of the group of its options.
        names: The options.
    """

    settings: type
    verb: str
    names: tuple[str, ...]

    def given(self, arguments: Sequence[str]) -> Any:
        """Return settings with these options as a command line has them, and others as they are by default."""
        # The losses do not count here, and to read one may take a study.
        spelled = spell_out(arguments, Shorthand.of(self.settings, f"{self.verb}.", lambda _: BCE()))
        parser, hints = VerbParser(exit_on_error=False), get_type_hints(self.settings)
        parser.add_argument("--config", action="config")
        for name in self.names:
            parser.add_argument(f"--{self.verb}.{name}", type=hints[name], default=None)
        # What cannot be read is refused when all options are parsed.
        with suppress(ArgumentError):
            return self.settings(**vars(parser.instantiate(parser.parse_args([*self._in(spelled)]))[self.verb]))
        return self.settings()

    def _in(self, spelled: Sequence[str]) -> Iterator[str]:
        """Yield these options of a command line, and what its configurations say of them."""
        configurations = named_settings(spelled)
        options = tuple(f"--{self.verb}.{name}{end}" for name in self.names for end in ("=", "."))
        for argument in spelled:
            if argument.partition("=")[0] in ("--config", "-c"):
                yield f"--config={self._reduced(next(configurations, None))}"
            elif argument.startswith(options):
                yield argument

    def _reduced(self, settings: Mapping[str, Any] | None) -> str:
        section = (settings or {}).get(self.verb)
        kept = {name: section[name] for name in self.names if name in section} if isinstance(section, Mapping) else {}
        # As YAML, since JSON has no numbers without end.
        return str(yaml.safe_dump({self.verb: kept} if kept else {}, default_flow_style=True, width=math.inf))
