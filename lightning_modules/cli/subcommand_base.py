"""Base classes of the project's own verbs: their options, and what they run."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from jsonargparse import ArgumentParser

from lightning_modules.cli.option_values import OfText, loss_of_text
from lightning_modules.cli.shorthand import Shorthand, spell_out

if TYPE_CHECKING:
    # Check and export do without Lightning, which takes seconds to import.
    import pytorch_lightning as pl
    from pytorch_lightning.cli import LightningArgumentParser

    from lightning_modules.cli.handed_over import HandedOver

#: As published with AutoLossGen; far above what losses without poles reach.
_LARGEST_GRADIENT = 50.0


class CommandLineValues(Protocol):
    """What a verb without model and data uses of the command line."""

    @property
    def seed(self) -> int:
        """The seed of the run."""

    def option(self, name: str) -> Any:
        """Return the value of one of the verb's options, built if it is an object."""


class CommandLine(CommandLineValues, Protocol):
    """What a verb that trains uses of the command line."""

    model: "pl.LightningModule"
    datamodule: "pl.LightningDataModule"
    handed: "HandedOver"

    def write_out(self, name: str, value: Any) -> None:
        """Let the verb's configuration say what an option that was left open has become."""

    def save_config(self, path: Path) -> None:
        """Write the verb's configuration to a path."""

    def add_core_arguments_to_parser(self, parser: "LightningArgumentParser") -> None:
        """Add the trainer's, the model's and the data's options."""

    def add_arguments_to_parser(self, parser: "LightningArgumentParser") -> None:
        """Link and entitle them."""


class OwnVerb:
    """Base of the project's own verbs.

    Attributes:
        usage: The usage after the verb's name.
        settings: The options, a dataclass.
        prefix: What stands before the names of the options; empty if nothing.
        when_full: What to do when the disk was full.
    """

    usage: ClassVar[str]
    settings: ClassVar[type]
    prefix: ClassVar[str] = ""
    when_full: ClassVar[str] = "Free some space, then give the same command again"

    def complete(self, arguments: Sequence[str]) -> list[str]:
        """Return the arguments after the verb as the parser reads them; raises like :func:`spell_out`."""
        return spell_out(arguments, Shorthand.of(self.settings, self.prefix, self.of_text(arguments)))

    def of_text(self, arguments: Sequence[str]) -> OfText:  # noqa: ARG002
        """Return what makes losses of formulas and references among the verb's losses."""
        return loss_of_text

    def add_arguments(self, cli: CommandLine, parser: "LightningArgumentParser") -> None:
        """Add the options to the verb's parser."""
        raise NotImplementedError

    def run(self, cli: CommandLine) -> Any:
        """Do what the verb says, and return what came out."""
        raise NotImplementedError


class TrainingVerb(OwnVerb):
    """A verb that trains models, and so has the trainer, model and data options of ``fit`` beside its own."""

    usage = "[--config FILE] [--model NAME] [--data NAME] [--OPTION VALUE ...]"
    epochs: ClassVar[int]
    when_full = "What is finished is kept; free some space, then give the same command again, which goes on"

    def add_arguments(self, cli: CommandLine, parser: "LightningArgumentParser") -> None:
        """Add the verb's own options under its name, and those of ``fit``."""
        parser.add_class_arguments(self.settings, self.prefix.rstrip("."), sub_configs=True)
        cli.add_core_arguments_to_parser(parser)
        cli.add_arguments_to_parser(parser)
        # Lightning's own defaults are a thousand epochs, and gradients of any size: a formula with a pole would throw
        # the weights away.
        clipping = {"trainer.gradient_clip_val": _LARGEST_GRADIENT, "trainer.gradient_clip_algorithm": "value"}
        parser.set_defaults({"trainer.max_epochs": self.epochs, **clipping})


class PlainVerb(OwnVerb):
    """A verb that trains nothing: its options have no prefix, and ``run`` is the argument after the verb."""

    run_help: ClassVar[str]
    #: ``?`` where it may be left out.
    run_count: ClassVar[str | None] = None

    def add_arguments(self, cli: CommandLine, parser: "LightningArgumentParser") -> None:  # noqa: ARG002
        """Add the options."""
        self.add_options(parser)

    def add_options(self, parser: ArgumentParser) -> None:
        """Add the options to any parser."""
        parser.add_class_arguments(self.settings, as_group=True, skip={"run"})
        kind = str if self.run_count is None else str | None
        parser.add_argument("run", nargs=self.run_count, type=kind, help=self.run_help)

    def run(self, cli: CommandLineValues) -> Any:
        """Do what the verb says, and return what came out."""
        raise NotImplementedError

    def chosen(self, cli: CommandLineValues) -> Any:
        """Return the options as the dataclass."""
        return self.settings(**{field.name: cli.option(field.name) for field in fields(self.settings)})
