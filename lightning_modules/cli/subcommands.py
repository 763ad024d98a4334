"""The project's own verbs, by name."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from lightning_modules.cli.checkpoint_settings import with_checkpoint_settings
from lightning_modules.cli.foreign_settings import with_study_settings
from lightning_modules.cli.formula_options import of_compared_text, of_searched_text
from lightning_modules.cli.option_values import OfText
from lightning_modules.cli.plain_verbs import PLAIN_VERBS
from lightning_modules.cli.refusals import refuse_other_bytes
from lightning_modules.cli.shorthand import spell_out
from lightning_modules.cli.subcommand_base import CommandLine, OwnVerb, TrainingVerb
from lightning_modules.cli.trainer_verbs import SHORTHANDS
from lightning_modules.cli.verbs import VERBS
from lightning_modules.compare.command import run_compare
from lightning_modules.compare.report import ComparisonReport
from lightning_modules.compare.settings import CompareSettings
from lightning_modules.core.run_config import continue_with, refuse_changed_data
from lightning_modules.polish import PolishSettings
from lightning_modules.polish.command import run_polish
from lightning_modules.report.after_runs import ReportFile, leave_report, tell_report
from lightning_modules.search.command import run_search
from lightning_modules.search.loss_search import LossSearch
from lightning_modules.search.settings import SearchSettings
from lightning_modules.search.study import named_study


class SearchVerb(TrainingVerb):
    """``search``."""

    settings = SearchSettings
    prefix = "search."
    epochs = 2

    def of_text(self, arguments: Sequence[str]) -> OfText:
        """Return what makes losses of texts under the numerics and the temperature of the search's own formulas."""
        return of_searched_text(arguments)

    def run(self, cli: CommandLine) -> LossSearch:
        """Search."""
        settings = cli.option("search").of_model(cli.model).of_data(cli.datamodule)
        cli.write_out("search.monitor", settings.monitor)
        cli.write_out("search.holdout", settings.holdout)
        root = Path(settings.root)
        search = run_search(
            settings,
            recommender=cli.model,
            datamodule=cli.datamodule,
            trainer_recipe=cli.option("trainer").as_dict(),
            seed=cli.seed,
            save_config=cli.save_config,
            observers=(*cli.handed.observers, ReportFile(root)),
            loggers=cli.handed.loggers,
        )
        tell_report(root)
        return search


class ContinuedVerb(TrainingVerb):
    """A verb that continues what its folder holds, if that was begun with the same settings.

    Attributes:
        fixed: Dotted keys of the settings that must be the same.
        free: Dotted keys below those that may change.
    """

    fixed: ClassVar[tuple[str, ...]] = ("model", "data", "trainer", "seed_everything")
    free: ClassVar[tuple[str, ...]] = (
        "data.init_args.download",
        *("trainer.logger", "trainer.enable_progress_bar", "trainer.enable_model_summary"),
    )

    def arguments(self, cli: CommandLine) -> dict[str, Any]:
        """Return the arguments that the functions of such verbs have in common, by name."""
        return {
            "model": cli.model,
            "datamodule": cli.datamodule,
            "trainer_recipe": cli.option("trainer").as_dict(),
            "seed": cli.seed,
            "save_config": partial(self._save_config, cli),
        }

    def _save_config(self, cli: CommandLine, path: Path) -> None:
        continue_with(path, cli.save_config, fixed=self.fixed, without=self.free)


class CompareVerb(ContinuedVerb):
    """``compare``."""

    settings = CompareSettings
    prefix = "compare."
    epochs = 200
    fixed = (*ContinuedVerb.fixed, *(f"compare.{name}" for name in ("monitor", "mode", "patience")))
    free = (*ContinuedVerb.free, "model.init_args.loss")

    def of_text(self, arguments: Sequence[str]) -> OfText:
        """Return what makes losses of texts as ``--formulas`` does, under ``--numerics`` or those of the study."""
        return of_compared_text(arguments)

    def complete(self, arguments: Sequence[str]) -> list[str]:
        """Take model, data and trainer from the study where no others are named."""
        return with_study_settings(super().complete(arguments), "compare")

    def run(self, cli: CommandLine) -> ComparisonReport:
        """Compare."""
        settings = cli.option("compare").of_model(cli.model)
        cli.write_out("compare.monitor", settings.monitor)
        for study in (*settings.studies, *settings.random_studies):
            refuse_changed_data(Path(named_study(study)[0]), cli.save_config, cli.datamodule)
        found = run_compare(settings, **self.arguments(cli))
        leave_report(Path(settings.root))
        return found


class PolishVerb(ContinuedVerb):
    """``polish``."""

    settings = PolishSettings
    prefix = "polish."
    epochs = 20
    fixed = (
        *ContinuedVerb.fixed,
        *(f"polish.{name}" for name in ("agent", "agent_epochs", "agent_rows", "critics", "polish_lambda")),
        *(f"polish.{name}" for name in ("fine_tuning_epochs", "fine_tuning_learning_rate")),
        *(f"polish.{name}" for name in ("monitor", "mode", "patience")),
    )

    def run(self, cli: CommandLine) -> None:
        """Polish."""
        settings = cli.option("polish")
        run_polish(settings, **self.arguments(cli))
        leave_report(Path(settings.root))


OWN_VERBS: dict[str, OwnVerb] = {
    "search": SearchVerb(),
    "check": PLAIN_VERBS["check"],
    "compare": CompareVerb(),
    "polish": PolishVerb(),
    "report": PLAIN_VERBS["report"],
    "export": PLAIN_VERBS["export"],
}


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """Return a command line as the parser reads it, with the settings of a checkpoint or study that it names.

    Raises:
        FileNotFoundError: If a named checkpoint or study is not there.
        ValueError: If an argument is no UTF-8, a formula cannot be read, or a checkpoint or study cannot be used.
    """
    refuse_other_bytes(arguments)
    place = next((place for place, each in enumerate(arguments) if each in VERBS), None)
    if place is None:
        return list(arguments)
    verb, rest = arguments[place], arguments[place + 1 :]
    own = OWN_VERBS.get(verb)
    spelled = own.complete(rest) if own else with_checkpoint_settings(spell_out(rest, SHORTHANDS.get(verb)))
    return [*arguments[: place + 1], *spelled]
