"""The command line: Lightning's with the project's own verbs."""

import pkgutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from jsonargparse import Namespace
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, _InstantiatorFn

from callbacks import PredictionWriter
from datamodules.same_data import HasFingerprint, say_unchecked
from lightning_modules.cli.checkpoint_settings import agreed_model
from lightning_modules.cli.handed_over import HandedOver
from lightning_modules.cli.last_run import last_checkpoint, logger_of
from lightning_modules.cli.model_refusals import refuse_mismatch, refuse_nulls
from lightning_modules.cli.refusals import refuse_address, refuse_impossible
from lightning_modules.cli.registry import SECTIONS, SIZES
from lightning_modules.cli.subcommands import OWN_VERBS, spelled_out
from lightning_modules.cli.trainer_verbs import (
    NO_OPTIONS,
    RunSettings,
    add_prediction_options,
    callbacks_of_fit,
    default_logger,
    guarded,
    refuse_untrained,
)
from lightning_modules.cli.verb_parser import VerbParser
from lightning_modules.cli.verbs import EPILOG, PROGRAM, TRAINER_VERBS, VERBS
from lightning_modules.core.default_optimizer import explicit_optimizer
from lightning_modules.training.quick_steps import with_quick_steps
from lightning_modules.training.trainers import trainer_error
from lightning_modules.utilities.files import full_disk_explained
from lightning_modules.utilities.subnormals import flushed_subnormals

_TRAINER_USAGE = "[--config FILE] [--model NAME] [--data NAME] [--OPTION VALUE ...]"


class TrainingParser(VerbParser, LightningArgumentParser):
    """The parser of a verb with options for a model, data and the Trainer.

    Attributes:
        needs_model: Whether a model must be named; not where a program hands one over.
    """

    needs_model = True

    def add_lightning_class_args(
        self, lightning_class: Any, nested_key: str, subclass_mode: bool = False, required: bool = True
    ) -> list[str]:
        """Add the options of a class, that of the model as one that may be left out where none must be named."""
        required = required and (self.needs_model or nested_key != "model")
        return super().add_lightning_class_args(lightning_class, nested_key, subclass_mode, required)


class CLI(LightningCLI):
    """Lightning's command line and the project's own verbs.

    Args:
        args: The arguments of the command line.
        handed: Objects of a program that no argument names.

    Attributes:
        parser_class_of_verbs: The class of the verbs' parsers.
        outcome: What the project's own verb has returned.
    """

    parser_class_of_verbs: ClassVar[type[TrainingParser]] = TrainingParser

    def __init__(self, args: Sequence[str], handed: HandedOver | None = None) -> None:
        self.handed = handed or HandedOver()
        self.outcome: Any = None
        # Parsers take time to build. Where --config comes before the verb, the file may have sections for other verbs.
        self._verbs = [verb for verb in args[:1] if verb in VERBS] or [*VERBS]
        super().__init__(
            args=spelled_out(args),
            parser_class=self.parser_class_of_verbs,
            parser_kwargs={"prog": PROGRAM},
            seed_everything_default=42,
            auto_configure_optimizers=False,
            save_config_callback=RunSettings,
            save_config_kwargs={"overwrite": True},
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return the Trainer's methods and what of their arguments is no option."""
        return {verb: {*NO_OPTIONS} for verb in TRAINER_VERBS}

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:  # noqa: ARG002
        assert isinstance(parser, VerbParser)
        built = {verb: self._verb_parser(verb) for verb in self._verbs}
        parser.verbs = built
        self._subcommand_parsers: dict[str, LightningArgumentParser] = {**built}
        verbs = parser.add_subcommands(prog=PROGRAM)
        for verb, each in built.items():
            verbs.add_subcommand(verb, each)

    def _verb_parser(self, verb: str) -> TrainingParser:
        own = OWN_VERBS.get(verb)
        usage = own.usage if own else _TRAINER_USAGE
        settings = {"usage": f"{PROGRAM} {verb} {usage}", "description": VERBS[verb], "epilog": EPILOG}
        if own:
            parser = self.init_parser(**settings)
            assert isinstance(parser, TrainingParser)
            parser.needs_model = self.handed.model is None
            self.add_default_arguments_to_parser(parser)
            own.add_arguments(self, parser)
        else:
            parser = self._prepare_subcommand_parser(pl.Trainer, verb, **settings)
        if verb == "predict":
            add_prediction_options(parser)
        assert isinstance(parser, TrainingParser)
        parser.owners = {"trainer": pl.Trainer, **({own.prefix.rstrip("."): own.settings} if own else {})}
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Link sizes of models to properties of the data."""
        for size in SIZES:
            parser.link_arguments(f"data.{size}", f"model.init_args.{size}", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the arguments."""
        self.config = parser.parse_args(args)

    def before_instantiate_classes(self) -> None:
        """Refuse a model that does not fit the data, and find what ``--ckpt_path last`` means."""
        refuse_impossible(self.config[self.subcommand].as_dict())
        for name in SECTIONS:
            refuse_nulls(name, self._get(self.config, name))
        if self.handed.datamodule is None:
            refuse_mismatch(self._get(self.config, "model"), self._get(self.config, "data"))
        if self.subcommand in TRAINER_VERBS and self._get(self.config, "ckpt_path") is None:
            refuse_untrained(self.subcommand)
        self._write_out_optimizer()
        self._last: Path | None = None
        refuse_address(self._get(self.config, "ckpt_path"))
        if self._get(self.config, "ckpt_path") == "last":
            self._last = last_checkpoint(self._root, self.save_config, resumes=self.subcommand == "fit")

    def _write_out_optimizer(self) -> None:
        model = self._get(self.config, "model")
        optimizer = explicit_optimizer(model.as_dict()) if model else None
        if optimizer:
            # jsonargparse gives these no types.
            arguments = Namespace(optimizer["init_args"])  # type: ignore[no-untyped-call]
            section = Namespace({**optimizer, "init_args": arguments})  # type: ignore[no-untyped-call]
            model.init_args["optimizer"] = section

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
        module: pl.LightningModule = build(
            class_type, *args, applied_instantiation_links=applied_instantiation_links, **options
        )
        return module

    def _parse_ckpt_path(self) -> None:
        verb = self.config.subcommand
        path = self.config[verb].get("ckpt_path")
        if not path or not Path(path).is_file():
            return
        given = {name: self.config[verb][name].as_dict() for name in SECTIONS if self.config[verb].get(name)}
        model = agreed_model(path, given)
        if model is not None:
            self.config[verb] = self._parser(verb).parse_object({"model": model}, self.config[verb])

    def instantiate_classes(self) -> None:
        """Build the model, the data and the Trainer; objects that were handed over take their place."""
        super().instantiate_classes()
        self.model = self.handed.model or self.model
        self.datamodule = self.handed.datamodule or self.datamodule

    def after_instantiate_classes(self) -> None:
        """Store the data's class and arguments in checkpoints."""
        data = self.config_dump.get("data") if self.datamodule is not None else None
        if data:
            arguments = {"_class_path": data["class_path"], **data.get("init_args", {}), **data.get("dict_kwargs", {})}
            self.datamodule.save_hyperparameters(arguments, logger=False)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Build the Trainer; the project's own verbs build one for every training instead."""
        if self.subcommand in OWN_VERBS:
            return None  # type: ignore[return-value]
        return super().instantiate_trainer(**kwargs)

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[pl.Callback]) -> pl.Trainer:
        if self.subcommand == "predict":
            options = [self._get(self.config_init, f"predict.{name}") for name in ("output", "logits", "top_k")]
            callbacks = [*callbacks, PredictionWriter(*options)]
        if self.subcommand == "fit":
            callbacks = [*callbacks, *callbacks_of_fit(self.model, config)]
        if self._last and self.subcommand == "fit" and config["logger"] in (None, True):
            # In its own folder, so that the best checkpoint so far stays the one to beat and curves go on.
            config = config | {"logger": logger_of(self._last, self._root) or config["logger"]}
        if config["logger"] in (None, True) and not config["barebones"]:
            config = config | {"logger": default_logger(config["default_root_dir"])}
        try:
            return with_quick_steps(super()._instantiate_trainer(config, callbacks))
        except Exception as error:  # whatever Lightning, or a library that it asks for, makes of an option
            raise trainer_error(error) from error

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        arguments = super()._prepare_subcommand_kwargs(subcommand) | {"weights_only": True}
        if self._last:
            arguments["ckpt_path"] = str(self._last)
        if subcommand == "fit" and arguments.get("ckpt_path") and not isinstance(self.datamodule, HasFingerprint):
            # Other data modules compare their own with the checkpoint's.
            reason = f"{type(self.datamodule).__name__} has no fingerprint()"
            say_unchecked(f"'{arguments['ckpt_path']}'", reason)
        # PredictionWriter has written them by then; all of them need not fit into memory.
        return arguments | {"return_predictions": False} if subcommand == "predict" else arguments

    def _run_subcommand(self, subcommand: str) -> None:
        own = OWN_VERBS.get(subcommand)
        if own is None:
            checkpoint = self._last or self._get(self.config, "ckpt_path")
            with guarded(subcommand, self.trainer, checkpoint), flushed_subnormals():
                super()._run_subcommand(subcommand)
        else:
            with full_disk_explained(f"what {subcommand} writes", own.when_full):
                self.outcome = own.run(self)

    @property
    def seed(self) -> int:
        """The seed of the run."""
        seed = self._get(self.config, "seed_everything")
        return torch.initial_seed() if isinstance(seed, bool) else seed

    def option(self, name: str) -> Any:
        """Return the value of one of the verb's options, built if it is an object."""
        return self._get(self.config_init, name)

    def write_out(self, name: str, value: Any) -> None:
        """Let the verb's configuration say what an option that was left open has become."""
        self.config[self.subcommand][name] = value

    def save_config(self, path: Path) -> None:
        """Write the verb's configuration to a path."""
        verb = self.subcommand
        # Nulls are kept: one that overrides a default would otherwise come back as the default.
        self._parser(verb).save(self.config[verb], path, skip_unset=False, multifile=False, overwrite=True)


def freed(value: Any) -> Any:
    """Return a partially applied class without its reference to the parser; other values as they are.

    jsonargparse's callable refers to the parser, and so to the data, which would be copied and sent to workers with
    every model.
    """
    if isinstance(value, partial) and len(value.args) == 2 and isinstance(value.args[1], type):
        return partial(value.args[1], **value.keywords)
    return value
