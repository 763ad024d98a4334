"""The command line: Lightning's fit, validate, test and predict beside the project's own verbs."""

import pkgutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, _InstantiatorFn

# Imported so that --model, --data and loss names need no path, and their checkpoints load.
import datamodules  # noqa: F401
import lightning_modules.agents
import lightning_modules.losses
import lightning_modules.multitask
import lightning_modules.recommenders  # noqa: F401
from callbacks import PredictionWriter
from lightning_modules.cli.arguments import spell_out
from lightning_modules.cli.callables import freed
from lightning_modules.cli.matching import check_match
from lightning_modules.cli.messages import short_message
from lightning_modules.cli.own_verbs import OWN_VERBS
from lightning_modules.last_run import last_checkpoint, logger_of

_PROGRAM = "train.py"
_DESCRIPTION = "Trains recommenders and searches for the loss function to train them with."
_EPILOG = "Ends with 0, after errors with 1 or 2, after Ctrl-C with 130; --debug adds the traceback of an error."
_TRAINER_VERBS = {
    "fit": "Train a model.",
    "validate": "Measure a model on the validation rows.",
    "test": "Measure a model on the test rows.",
    "predict": "Write the probabilities of every test row to a CSV or Parquet file.",
}
#: What only the data knows of a model's inputs and outputs.
_SIZES = ("num_users", "num_items", "field_sizes", "num_numerical", "tasks")
_TITLES = {
    "trainer": "Trainer (in search, compare and polish, the recipe of every training)",
    "model": "Model (--model.help NAME lists its arguments)",
    "data": "Data (--data.help NAME lists its arguments)",
}


class Parser(LightningArgumentParser):
    """Says in a line or two what is wrong with a command line."""

    def error(self, message: str, ex: Exception | None = None) -> Any:
        """End with status 2, unless the error is to be raised."""
        if not self.exit_on_error:
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        program = parser.prog.replace(" [options]", "")
        self.exit(2, f"error: {short_message(message, parser)}\nHelp: {program} --help\n")


class CLI(LightningCLI):
    """Lightning's command line and the project's own verbs.

    Args:
        args: The arguments of the command line.
    """

    def __init__(self, args: list[str]) -> None:
        super().__init__(
            args=_spelled_out(args),
            parser_class=Parser,
            parser_kwargs={"prog": _PROGRAM, "description": _DESCRIPTION, "epilog": _EPILOG},
            seed_everything_default=42,
            auto_configure_optimizers=False,
            save_config_kwargs={"overwrite": True},
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return the Trainer's methods and what of their arguments is no option."""
        fixed = {"model", "datamodule", "train_dataloaders", "val_dataloaders", "dataloaders", "weights_only"}
        return {verb: fixed | {"return_predictions"} for verb in _TRAINER_VERBS}

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:  # noqa: ARG002
        self._subcommand_parsers: dict[str, LightningArgumentParser] = {}
        verbs = parser.add_subcommands(title="verbs", metavar="VERB", help=f"{_PROGRAM} VERB --help lists its options")
        for verb, description in _TRAINER_VERBS.items():
            usage = "[--config FILE] [--model NAME] [--data NAME] [--OPTION VALUE ...]"
            settings = {"usage": f"{_PROGRAM} {verb} {usage}", "description": description}
            self._subcommand_parsers[verb] = self._trainer_verb_parser(verb, **settings)
            verbs.add_subcommand(verb, self._subcommand_parsers[verb], help=description)
        for verb, own in OWN_VERBS.items():
            own_parser = self.init_parser(usage=f"{_PROGRAM} {verb} {own.usage}", description=own.description)
            self.add_default_arguments_to_parser(own_parser)
            own.add_arguments(self, own_parser)
            self._subcommand_parsers[verb] = own_parser
            verbs.add_subcommand(verb, own_parser, help=own.description)

    def _trainer_verb_parser(self, verb: str, **settings: Any) -> LightningArgumentParser:
        parser = self._prepare_subcommand_parser(pl.Trainer, verb, **settings)
        _entitle(parser, {verb: "Checkpoint"})
        if verb == "predict":
            help_text = "CSV or Parquet file to write, with a row's keys and a column a probability."
            parser.add_argument("--predict.output", type=str, default="predictions.csv", help=help_text)
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Give models the sizes that only the data knows, and groups of options titles that people understand."""
        for size in _SIZES:
            parser.link_arguments(f"data.{size}", f"model.init_args.{size}", apply_on="instantiate")
        _entitle(parser, _TITLES)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the arguments."""
        self.config = parser.parse_args(args)

    def before_instantiate_classes(self) -> None:
        """Refuse a model that does not fit the data, and find what ``--ckpt_path last`` means."""
        check_match(self._get(self.config, "model"), self._get(self.config, "data"), _SIZES)
        self._last: Path | None = None
        if self._get(self.config, "ckpt_path") == "last":
            self._last = last_checkpoint(self._root, self.save_config, resumes=self.subcommand == "fit")

    @property
    def _root(self) -> Path:
        folders = ("trainer.logger.init_args.save_dir", "trainer.default_root_dir")
        return Path(next(filter(None, (self._get(self.config, name) for name in folders)), Path.cwd()))

    def _add_instantiators(self) -> None:
        super()._add_instantiators()
        self.parser.add_instantiator(self._instantiate_module, pl.LightningModule, subclasses=True, prepend=True)

    def _instantiate_module(
        self,
        class_type: type[pl.LightningModule],
        *args: Any,
        applied_instantiation_links: dict[str, Any],
        **options: Any,
    ) -> pl.LightningModule:
        """Build a module; Lightning gives the model's hyper-parameters to every one, a verb's options included."""
        options = {name: freed(value) for name, value in options.items()}
        if pkgutil.resolve_name(self._get(self.config, "model").class_path) is not class_type:
            return class_type(*args, **options)
        build = _InstantiatorFn(cli=self, key="model")
        return build(class_type, *args, applied_instantiation_links=applied_instantiation_links, **options)

    def _parse_ckpt_path(self) -> None:
        try:
            super()._parse_ckpt_path()
        except Exception as error:
            path = self.config[self.config.subcommand].ckpt_path
            raise ValueError(f"{path} cannot be read as a checkpoint ({type(error).__name__}: {error})") from error

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Build the Trainer; the project's own verbs build one for every training instead."""
        if self.subcommand in OWN_VERBS:
            return None  # type: ignore[return-value]
        return super().instantiate_trainer(**kwargs)

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[pl.Callback]) -> pl.Trainer:
        if self.subcommand == "predict":
            callbacks = [*callbacks, PredictionWriter(self._get(self.config_init, "predict.output"))]
        if self._last and self.subcommand == "fit" and config["logger"] in (None, True):
            # In its own folder, so that the best checkpoint so far stays the one to beat and curves go on.
            config = config | {"logger": logger_of(self._last, self._root) or config["logger"]}
        return super()._instantiate_trainer(config, callbacks)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        arguments = super()._prepare_subcommand_kwargs(subcommand) | {"weights_only": True}
        if self._last:
            arguments["ckpt_path"] = str(self._last)
        # PredictionWriter has written them by then; all of them need not fit into memory.
        return arguments | {"return_predictions": False} if subcommand == "predict" else arguments

    def _run_subcommand(self, subcommand: str) -> None:
        if subcommand in OWN_VERBS:
            OWN_VERBS[subcommand].run(self)
        else:
            super()._run_subcommand(subcommand)

    @property
    def seed(self) -> int:
        """The seed of the run."""
        seed = self._get(self.config, "seed_everything")
        return torch.initial_seed() if isinstance(seed, bool) else seed

    def option(self, name: str) -> Any:
        """Return the value of one of the verb's options, built if it is an object."""
        return self._get(self.config_init, name)

    def save_config(self, path: Path) -> None:
        """Write the verb's configuration to a path."""
        verb = self.subcommand
        # Nulls are kept: one that overrides a default would otherwise come back as the default.
        self._parser(verb).save(self.config[verb], path, skip_unset=False, multifile=False, overwrite=True)


def _spelled_out(arguments: Sequence[str]) -> list[str]:
    place = next((place for place, each in enumerate(arguments) if each in (*_TRAINER_VERBS, *OWN_VERBS)), None)
    if place is None:
        return list(arguments)
    own, rest = OWN_VERBS.get(arguments[place]), arguments[place + 1 :]
    return [*arguments[: place + 1], *(own.complete(rest) if own else spell_out(rest))]


def _entitle(parser: LightningArgumentParser, titles: Mapping[str, str]) -> None:
    for name, group in (parser.groups or {}).items():
        group.title = titles.get(name, group.title)
