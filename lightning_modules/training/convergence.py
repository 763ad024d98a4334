"""Trains a fresh model until its validation metric stops improving, and keeps the weights of the best epoch."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

import pytorch_lightning as pl
from jsonargparse import ArgumentParser, Namespace
from pytorch_lightning.callbacks import Callback, EarlyStopping

from callbacks.best_weights import BestWeights
from callbacks.optimizer_settings import OptimizerSettings
from lightning_modules.training.random_numbers import seed_random_numbers
from lightning_modules.training.trainers import fit, scoring_trainer

Model = TypeVar("Model", bound=pl.LightningModule)


@dataclass(frozen=True)
class TrainingSettings:
    """How long and with which steps a model is trained.

    Attributes:
        epochs: The most epochs; None leaves the recipe's.
        patience: Validations without a better metric before the training ends; None trains all epochs.
        learning_rate: The learning rate; None leaves the optimizer's.
        weight_decay: The weight decay, in the optimizer's own meaning of it; None leaves the optimizer's.
    """

    epochs: int | None = None
    patience: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None


class ConvergenceTrainer:
    """A Trainer with early stopping that leaves a model with the weights of its best epoch.

    Args:
        recipe: Arguments of the Trainer; early stopping and checkpoints of its own are left out.
        monitor: The validation metric that decides when to stop and which epoch is best.
        mode: Whether more (max) or less (min) of it is better.
        settings: How long and with which steps models are trained.
        callbacks: Further callbacks.
        strict: Whether a training fails whose metric is missing when early stopping looks for it.
        logger: The Trainer's logger; False for none.

    Raises:
        MisconfigurationException: If the Trainer cannot be built.
    """

    def __init__(
        self,
        recipe: Mapping[str, Any],
        monitor: str,
        mode: Literal["max", "min"],
        settings: TrainingSettings,
        *,
        callbacks: Sequence[Callback] = (),
        strict: bool = True,
        logger: Any = False,
    ) -> None:
        self.recipe = recipe
        self.best = BestWeights(monitor, mode)
        self.stopping: EarlyStopping | None = None
        if settings.patience is not None:
            self.stopping = EarlyStopping(monitor, mode=mode, patience=settings.patience, strict=strict)
        tuned = OptimizerSettings(settings.learning_rate, settings.weight_decay)
        epochs = {} if settings.epochs is None else {"max_epochs": settings.epochs}
        stopping = [] if self.stopping is None else [self.stopping]
        self.callbacks: list[Callback] = [tuned, self.best, *callbacks, *stopping]
        self.trainer = scoring_trainer(recipe, self.callbacks, logger=logger, **epochs)

    def fit(self, build: Callable[[], Model], datamodule: pl.LightningDataModule, seed: int) -> Model:
        """Train a model and return it with the weights of its best epoch, or its last ones if there is none.

        Args:
            build: Returns the model; what is random in it depends on the seed.
            datamodule: What it is trained and validated on.
            seed: Seed of the model, of dropout, of the order of the batches and of what else is drawn.

        Raises:
            KeyboardInterrupt: If the user interrupted the training.
            MisfitError: If the model gives its loss something else than that wants.
        """
        seed_random_numbers(seed)
        model = build()
        # Again, so that the order of the batches does not depend on how many numbers the weights have drawn.
        seed_random_numbers(seed)
        self.train(model, datamodule)
        if self.best.weights:
            model.load_state_dict(self.best.weights)
        return model

    def train(self, model: pl.LightningModule, datamodule: pl.LightningDataModule) -> None:
        """Train a model; see :meth:`fit`."""
        fit(self.trainer, model, datamodule)

    @property
    def validation_metrics(self) -> dict[str, float]:
        """The validation metrics of the best epoch; empty if there is none."""
        return {name: value for name, value in self.best.metrics.items() if name.startswith("val/")}

    @property
    def converged(self) -> bool:
        """Whether early stopping ended the training, and not the most epochs."""
        return self.stopping is not None and self.stopping.wait_count >= self.stopping.patience


def builder(model: Model) -> Callable[[], Model]:
    """Return a function that makes freshly initialised models like ``model``, from its saved hyper-parameters.

    Raises:
        ValueError: If the model has saved none, so that nothing is known of how to make another.
    """
    # Lightning's note of the function that built the model; here it is always the same one.
    arguments = {name: value for name, value in model.hparams.items() if name != "_instantiator"}
    if not arguments and not inspect.signature(type(model)).parameters:
        return type(model)
    if not arguments:
        raise ValueError(
            f"{type(model).__name__} cannot be built anew for every training: call save_hyperparameters() in its "
            "__init__, as the models of this project do"
        )
    return Builder(type(model), arguments)


class Builder(Generic[Model]):
    """Makes models of one class from the same arguments, which are parsed once: that takes most of the time.

    Args:
        kind: The class.
        arguments: Its arguments, as a model of the command line has saved them.
    """

    def __init__(self, kind: type[Model], arguments: Mapping[str, Any]) -> None:
        self.kind = kind
        self.arguments = arguments

    def __call__(self) -> Model:
        """Return a freshly initialised model."""
        parser, parsed = self._parsed
        model: Model = parser.instantiate_classes(parsed).module
        return model

    def __getstate__(self) -> dict[str, Any]:
        # Workers parse the arguments themselves.
        return {"kind": self.kind, "arguments": self.arguments}

    @cached_property
    def _parsed(self) -> tuple[ArgumentParser, Namespace]:
        # As Lightning's own instantiate_module, which parses them for every model.
        parser, arguments = ArgumentParser(exit_on_error=False), dict(self.arguments)
        if "_class_path" in arguments:
            parser.add_subclass_arguments(self.kind, "module", fail_untyped=False)
            arguments = {"class_path": arguments.pop("_class_path"), "dict_kwargs": arguments}
        else:
            parser.add_class_arguments(self.kind, "module", fail_untyped=False)
        return parser, parser.parse_object({"module": arguments})
