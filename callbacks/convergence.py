"""Stops a training whose loss has converged."""

import math
from typing import Any

import torch
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason
from torch import Tensor


class ConvergenceStopping(EarlyStopping):
    """Stops training when a logged value has changed by less than a threshold several epochs in a row.

    Unlike early stopping it asks for no direction: a loss against moving targets may settle at any level. It looks at
    the value at the end of every epoch, or after every validation if its name begins with ``val/``. An epoch without
    the value, such as the actor's loss before the actor learns, changes nothing. What has been counted is in the
    checkpoint.

    Args:
        monitor: Name of the logged value.
        threshold: Smallest absolute change, from one epoch to the next, that counts as movement.
        patience: Number of smaller changes in a row that end the training.
        verbose: Whether the end is explained in the log.

    Raises:
        ValueError: If ``threshold`` is not above 0 or ``patience`` is below 1.
    """

    def __init__(
        self, monitor: str = "train/critic_loss", threshold: float = 3e-3, patience: int = 5, verbose: bool = True
    ) -> None:
        if not threshold > 0:
            raise ValueError(f"threshold is the smallest change that counts and must be above 0, got {threshold}")
        if patience < 1:
            raise ValueError(f"patience is a number of epochs and must be at least 1, got {patience}")
        super().__init__(
            monitor,
            patience=patience,
            verbose=verbose,
            strict=False,
            check_on_train_epoch_end=not monitor.startswith("val/"),
        )
        self.threshold = threshold
        self.last: float | None = None

    def _evaluate_stopping_criteria(self, current: Tensor) -> tuple[bool, str | None]:
        value = float(current)
        if not math.isfinite(value):
            self.stopping_reason = EarlyStoppingReason.NON_FINITE_METRIC
            return True, f"{self.monitor} is {value}, which cannot converge."
        is_small = self.last is not None and abs(value - self.last) < self.threshold
        self.wait_count = self.wait_count + 1 if is_small else 0
        self.last = value
        self.best_score = torch.as_tensor(value)
        if self.wait_count < self.patience:
            return False, None
        return True, f"{self.monitor} changed by less than {self.threshold:g} {self.patience} times in a row."

    def state_dict(self) -> dict[str, Any]:
        """Return what has been counted."""
        return {**super().state_dict(), "last": self.last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        super().load_state_dict(state_dict)
        self.last = state_dict["last"]
