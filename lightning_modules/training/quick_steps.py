"""A Trainer's steps without the calls of hooks that nobody has written."""

from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loops.fetchers import _DataFetcher, _PrefetchDataFetcher
from pytorch_lightning.loops.optimization.automatic import Closure, ClosureResult
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor
from torch.optim import Optimizer

from lightning_modules.training.step_hooks import Hook, after_transfer, callback_hooks, has_own, is_plain


def with_quick_steps(trainer: pl.Trainer) -> pl.Trainer:
    """Give a Trainer that has not trained yet the quick loop over the batches, and return it."""
    loop = trainer.fit_loop.epoch_loop
    trainer.fit_loop.epoch_loop = QuickEpochLoop(trainer, min_steps=loop.min_steps, max_steps=loop.max_steps)
    return trainer


class QuickEpochLoop(_TrainingEpochLoop):
    """Lightning's loop over the batches, which in plain steps calls only the hooks that somebody has written.

    Lightning makes about 30 calls around a step, most of which do nothing and together take as long as a step of a
    small model. A plain step does the same operations in the same order, so that weights, metrics, counters and
    checkpoints are the same to the last bit. Callbacks get all of their hooks, the data module gets the batches that
    have arrived on the device, and gradients are clipped if the Trainer says so.

    Lightning's own steps are taken where more is in use, which is decided when an epoch starts: several processes,
    another precision than float32, accumulated gradients, manual optimization, a profiler, or any other of the step's
    hooks in the module, the data module, the strategy or the precision.
    """

    #: Callbacks' hooks that do something; None takes Lightning's steps.
    _hooks: dict[str, list[Hook]] | None = None

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        """Decide how steps are taken."""
        super().on_run_start(data_fetcher)
        module = self.trainer.lightning_module
        plain = isinstance(data_fetcher, _PrefetchDataFetcher) and not self.automatic_optimization._skip_backward
        self._hooks = callback_hooks(self.trainer) if plain and is_plain(self.trainer) else None
        self._after_transfer = after_transfer(self.trainer)
        self._wants_index = is_param_in_hook_signature(module.training_step, "batch_idx", min_args=2)
        self._validates = super()._should_check_val_epoch()

    def _should_check_val_epoch(self) -> bool:
        # Asked for in every step.
        return super()._should_check_val_epoch() if self._hooks is None else self._validates

    def update_lr_schedulers(self, interval: str, update_plateau_schedulers: bool) -> None:
        """Update the learning rates if anything does."""
        if self.trainer.lr_scheduler_configs:
            super().update_lr_schedulers(interval, update_plateau_schedulers)

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """Take the next step.

        Raises:
            StopIteration: If there is no batch left, or the module skips the rest of the epoch.
        """
        if self._hooks is None or self.restarting or self.val_loop.restarting:
            super().advance(data_fetcher)
            return
        fetched, _, _ = next(data_fetcher)
        index = self.batch_idx + 1
        self.batch_progress.is_last_batch = data_fetcher.done
        batch = self._on_device(fetched)
        self.batch_progress.increment_ready()
        self.trainer._logger_connector.on_batch_start(batch)
        output = self._train(batch, index)
        self.batch_progress.increment_processed()
        self.update_lr_schedulers("step", update_plateau_schedulers=False)
        if self._num_ready_batches_reached():
            self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        self._call("on_train_batch_end", output, batch, index)
        self._end_batch()

    def _on_device(self, batch: Any) -> Any:
        """Return the batch on the module's device, as the data module has it there."""
        device = self.trainer.strategy.root_device
        if not (isinstance(batch, tuple) and all(_is_on(each, device) for each in batch)):
            batch = self.trainer.lightning_module.transfer_batch_to_device(batch, device, 0)
        return batch if self._after_transfer is None else self._after_transfer(batch, 0)

    def _train(self, batch: Any, index: int) -> dict[str, Any] | None:
        """Train on a batch, and return what callbacks are told of it."""
        if batch is None:
            self._warning_cache.warn("train_dataloader yielded None; such batches are left out")
            return None
        self._call("on_train_batch_start", batch, index)
        self.batch_progress.increment_started()
        optimizer, progress = self.trainer.optimizers[0], self.automatic_optimization.optim_progress.optimizer.step
        closure = Closure(
            partial(self._training_step, (batch, index) if self._wants_index else (batch,)),
            self._backward,
            partial(self._zero_grad, optimizer),
        )
        progress.increment_ready()
        optimizer.step(closure=partial(self._before_optimizer_step, closure, optimizer))
        progress.increment_completed()
        result = closure.consume_result()
        return {} if result.loss is None else result.asdict()

    def _training_step(self, arguments: tuple[Any, ...]) -> ClosureResult:
        module = self.trainer.lightning_module
        module._current_fx_name = "training_step"
        output = module.training_step(*arguments)
        module._current_fx_name = None
        return ClosureResult(output) if isinstance(output, Tensor) else ClosureResult.from_training_step_output(output)

    def _zero_grad(self, optimizer: Optimizer) -> None:
        progress = self.automatic_optimization.optim_progress.optimizer.zero_grad
        progress.increment_ready()
        self._call("on_before_zero_grad", optimizer)
        progress.increment_started()
        _drop_gradients(optimizer)
        progress.increment_completed()

    def _backward(self, loss: Tensor) -> None:
        self._call("on_before_backward", loss)
        loss.backward()
        self._call("on_after_backward")

    def _before_optimizer_step(self, closure: Closure, optimizer: Optimizer) -> Tensor | None:
        """Compute the gradients, and return the loss."""
        loss = closure()
        self._call("on_before_optimizer_step", optimizer)
        trainer = self.trainer
        if trainer.gradient_clip_val:
            trainer.precision_plugin._clip_gradients(
                trainer.lightning_module, optimizer, trainer.gradient_clip_val, trainer.gradient_clip_algorithm
            )
        return loss

    def _end_batch(self) -> None:
        """Forget the batch, and log what has been logged."""
        connector, results = self.trainer._logger_connector, self._results
        if results:
            connector.on_batch_end()
        else:
            results.batch = results.batch_size = None
        self.batch_progress.increment_completed()
        if results:
            connector.update_train_step_metrics()

    def _call(self, hook: str, *arguments: Any) -> None:
        hooks = self._hooks[hook] if self._hooks else ()
        if hooks:
            trainer, module = self.trainer, self.trainer.lightning_module
            module._current_fx_name = hook
            for each in hooks:
                each(trainer, module, *arguments)
            module._current_fx_name = None


def _is_on(part: Any, device: torch.device) -> bool:
    """Return whether a part of a batch needs no transfer to a device."""
    return part.device == device if isinstance(part, Tensor) else isinstance(part, int)


def _drop_gradients(optimizer: Optimizer) -> None:
    if has_own(optimizer, Optimizer, ("zero_grad",)):
        optimizer.zero_grad()
        return
    # As torch does, which also tells its profiler.
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = None
