"""Which hooks of a training step do something."""

from collections.abc import Callable, Iterable

import pytorch_lightning as pl
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import Strategy

#: What callbacks are called for in a step.
_CALLBACK_HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
_TRANSFER_HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device")
_MODULE_HOOKS = (
    *_CALLBACK_HOOKS,
    *_TRANSFER_HOOKS,
    *("on_after_batch_transfer", "backward", "optimizer_step", "optimizer_zero_grad", "configure_gradient_clipping"),
)
_STRATEGY_HOOKS = (
    *("on_train_batch_start", "batch_to_device", "training_step", "post_training_step"),
    *("pre_backward", "backward", "post_backward", "optimizer_step"),
)
_PRECISION_HOOKS = (
    *("convert_input", "train_step_context", "forward_context", "pre_backward", "backward", "post_backward"),
    *("optimizer_step", "_wrap_closure", "_after_closure", "_clip_gradients"),
)
_PROFILER_HOOKS = ("start", "stop", "profile")

#: A hook of an object.
Hook = Callable[..., object]


def callback_hooks(trainer: pl.Trainer) -> dict[str, list[Hook]]:
    """Return the callbacks' hooks of a step that are not empty, in their order."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set outside the Trainer's class
    return {
        hook: [getattr(each, hook) for each in callbacks if has_own(each, pl.Callback, (hook,))]
        for hook in _CALLBACK_HOOKS
    }


def after_transfer(trainer: pl.Trainer) -> Hook | None:
    """Return the data module's hook of a batch that has arrived on the device, if it has written one."""
    data = trainer.datamodule  # type: ignore[attr-defined]  # set outside the Trainer's class
    has_hook = data is not None and has_own(data, pl.LightningDataModule, ("on_after_batch_transfer",))
    return data.on_after_batch_transfer if has_hook else None


def is_plain(trainer: pl.Trainer) -> bool:
    """Return whether a step of a Trainer is the module's training step and the optimizer's step, and nothing else.

    What the data module does to a batch on the device comes before.
    """
    module, data = trainer.lightning_module, trainer.datamodule  # type: ignore[attr-defined]
    return (
        trainer_is_plain(trainer)
        and module.automatic_optimization
        and trainer.strategy.model is module
        and not has_own(module, pl.LightningModule, _MODULE_HOOKS)
        and not (data is not None and has_own(data, pl.LightningDataModule, _TRANSFER_HOOKS))
    )


def trainer_is_plain(trainer: pl.Trainer) -> bool:
    """Return whether a Trainer itself, apart from its callbacks, adds nothing to a step, whatever it trains."""
    strategy = trainer.strategy
    return (
        trainer.accumulate_grad_batches == 1
        and trainer.world_size == 1
        and not strategy.handles_gradient_accumulation
        and not has_own(strategy, Strategy, _STRATEGY_HOOKS)
        and not has_own(strategy.precision_plugin, Precision, _PRECISION_HOOKS)
        and not has_own(trainer.profiler, PassThroughProfiler, _PROFILER_HOOKS)  # type: ignore[attr-defined]
    )


def has_own(thing: object, base: type, hooks: Iterable[str]) -> bool:
    """Return whether an object has any of the hooks otherwise than its base class has them."""
    return any(getattr(getattr(thing, hook), "__func__", None) is not getattr(base, hook) for hook in hooks)
