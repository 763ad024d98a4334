"""The verbs that are no method of the Trainer: their options, and what they run."""

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

from pytorch_lightning.cli import LightningArgumentParser

from lightning_modules.check.settings import CheckSettings
from lightning_modules.check.validation import run_check
from lightning_modules.cli.arguments import Shorthand, spell_out
from lightning_modules.cli.study_settings import with_study_settings
from lightning_modules.compare.comparison import Comparison
from lightning_modules.compare.fresh import builder
from lightning_modules.compare.settings import CompareSettings
from lightning_modules.continuation import continue_with
from lightning_modules.export.command import run_export
from lightning_modules.export.settings import ExportSettings
from lightning_modules.search.settings import SearchSettings
from lightning_modules.search.study import run_search

if TYPE_CHECKING:
    from lightning_modules.cli.commands import CLI


class OwnVerb:
    """Base of the project's own verbs.

    Attributes:
        description: One sentence for ``--help``.
        usage: The usage after the verb's name.
        settings: The options, a dataclass.
        prefix: What stands before the names of the options; empty if nothing.
    """

    description: ClassVar[str]
    usage: ClassVar[str]
    settings: ClassVar[type]
    prefix: ClassVar[str] = ""

    def complete(self, arguments: Sequence[str]) -> list[str]:
        """Return the arguments after the verb as the parser reads them; raises like :func:`spell_out`."""
        return spell_out(arguments, Shorthand.of(self.settings, self.prefix))

    def add_arguments(self, cli: "CLI", parser: LightningArgumentParser) -> None:
        """Add the options to the verb's parser."""
        raise NotImplementedError

    def run(self, cli: "CLI") -> None:
        """Do what the verb says."""
        raise NotImplementedError


class TrainingVerb(OwnVerb):
    """A verb that trains models, and so has the trainer, model and data options of ``fit`` beside its own."""

    usage = "[--config FILE] [--model NAME] [--data NAME] [--OPTION VALUE ...]"
    epochs: ClassVar[int]

    def add_arguments(self, cli: "CLI", parser: LightningArgumentParser) -> None:
        """Add the verb's own options under its name, and those of ``fit``."""
        parser.add_class_arguments(self.settings, self.prefix.rstrip("."), sub_configs=True)
        cli.add_core_arguments_to_parser(parser)
        cli.add_arguments_to_parser(parser)
        # Lightning's own default is a thousand.
        parser.set_defaults({"trainer.max_epochs": self.epochs})


class SearchVerb(TrainingVerb):
    """``search``."""

    description = "Search for a loss function."
    settings = SearchSettings
    prefix = "search."
    epochs = 2

    def run(self, cli: "CLI") -> None:
        """Search."""
        run_search(
            cli.option("search"),
            recommender=cli.model,
            datamodule=cli.datamodule,
            trainer_recipe=cli.option("trainer").as_dict(),
            seed=cli.seed,
            save_config=cli.save_config,
        )


class CompareVerb(TrainingVerb):
    """``compare``."""

    description = "Compare losses by training models to convergence, with several seeds, and audit a search."
    settings = CompareSettings
    prefix = "compare."
    epochs = 200
    #: What a comparison that is continued must have been begun with.
    fixed = (
        "model",
        "data",
        "trainer",
        "seed_everything",
        *(f"compare.{name}" for name in ("monitor", "mode", "patience")),
    )
    free = ("model.init_args.loss", "trainer.logger", "trainer.enable_progress_bar", "trainer.enable_model_summary")

    def complete(self, arguments: Sequence[str]) -> list[str]:
        """Take model, data and trainer from the study where no others are named."""
        return with_study_settings(super().complete(arguments), "--compare.study")

    def run(self, cli: "CLI") -> None:
        """Compare."""
        Comparison(
            settings=cli.option("compare"),
            build=builder(cli.model),
            datamodule=cli.datamodule,
            trainer_recipe=cli.option("trainer").as_dict(),
            seed=cli.seed,
        ).run(lambda path: continue_with(path, cli.save_config, fixed=self.fixed, without=self.free))


class PlainVerb(OwnVerb):
    """A verb that trains nothing: its options have no prefix, and ``run`` is the argument after the verb."""

    run_help: ClassVar[str]
    #: ``?`` where it may be left out.
    run_count: ClassVar[str | None] = None

    def add_arguments(self, cli: "CLI", parser: LightningArgumentParser) -> None:  # noqa: ARG002
        """Add the options."""
        parser.add_class_arguments(self.settings, as_group=True, skip={"run"})
        kind = str if self.run_count is None else str | None
        parser.add_argument("run", nargs=self.run_count, type=kind, help=self.run_help)

    def chosen(self, cli: "CLI") -> Any:
        """Return the options as the dataclass."""
        return self.settings(**{field.name: cli.option(field.name) for field in fields(self.settings)})


class CheckVerb(PlainVerb):
    """``check``."""

    description = "Check formulas without training: gradients, monotony, finiteness, scoring rule."
    usage = "[RUN] [--formulas TEXT ...] [--losses NAME ...] [--file FILE] [--OPTION VALUE ...]"
    settings = CheckSettings
    run_help = "Folder of a search whose formulas are checked."
    run_count = "?"

    def run(self, cli: "CLI") -> None:
        """Check."""
        run_check(self.chosen(cli), cli.seed)


class ExportVerb(PlainVerb):
    """``export``."""

    description = "Export a found loss as Python or LaTeX, or a trained model as ONNX."
    usage = "RUN [--rank N] [--to python|latex|onnx] [--output FILE]"
    settings = ExportSettings
    run_help = "Folder of a search; for onnx a checkpoint."

    def run(self, cli: "CLI") -> None:
        """Export."""
        run_export(self.chosen(cli))


OWN_VERBS: dict[str, OwnVerb] = {
    "search": SearchVerb(),
    "check": CheckVerb(),
    "compare": CompareVerb(),
    "export": ExportVerb(),
}
