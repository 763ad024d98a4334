"""The parser of a verb: the order of its sections in ``--help``, and its errors in a line."""

from typing import Any

from pytorch_lightning.cli import LightningArgumentParser

from lightning_modules.cli.error_messages import short_message
from lightning_modules.cli.help_formatter import HelpFormatter
from lightning_modules.cli.verbs import TRAINER_VERBS
from lightning_modules.utilities.untrusted_data import BOUNDED

_TITLES = {
    "model": "Model (--model.help NAME lists its arguments, --model.ARGUMENT VALUE sets one)",
    "data": "Data (--data.help NAME lists its arguments, --data.ARGUMENT VALUE sets one)",
    **dict.fromkeys(TRAINER_VERBS, "Checkpoint"),
    "trainer": "Lightning's Trainer (in search, compare and polish, the recipe of every training)",
}


class VerbParser(LightningArgumentParser):
    """A parser that ends with a line or two on what is wrong with a command line.

    Args:
        arguments: Positional arguments of the parser.
        options: Settings of the parser.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"formatter_class": HelpFormatter, "parser_mode": BOUNDED, **options})

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """End with status 2, unless the error is to be raised."""
        if not self.exit_on_error:
            super().error(message, ex)
        verbs = self._subcommands_action.choices if self._subcommands_action else {}
        named = next((verbs[argument] for argument in getattr(self, "args", ()) if argument in verbs), self)
        parser = getattr(ex, "subcommand_parser", None) or named
        program = parser.prog.replace(" [options]", "")
        self.exit(2, f"error: {short_message(message, parser)}\nHelp: {program} --help\n")


def arrange(parser: LightningArgumentParser) -> None:
    """Give the sections of a verb's help their titles, and put the verb's own options first."""
    for name, group in (parser.groups or {}).items():
        group.title = _TITLES.get(name, group.title)
        takes_classes = any(type(action).__name__ == "_ActionHelpClassPath" for action in group._group_actions)
        if name not in _TITLES and takes_classes:
            group.title = (
                f"{group.title} (--OPTION.help NAME lists the arguments of a class, --OPTION.ARGUMENT VALUE sets one)"
            )
    parser._positionals.title, parser._optionals.title = "Argument", "General"
    order = [_TITLES.get(name) for name in ("model", "data")] + ["General", _TITLES["trainer"]]
    parser._action_groups = sorted(
        parser._action_groups, key=lambda group: order.index(group.title) if group.title in order else -1
    )
