"""Tables of weights with the optimizers that compiled kernels train them with."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, MutableMapping
from typing import Any, ClassVar, Protocol

import numpy as np

from lightning_modules.optimizers.idle_moves import idle_tables
from lightning_modules.populations.fused.adagrad_kernels import train_adagrad
from lightning_modules.populations.fused.dense_adam_kernels import train_dense_adam
from lightning_modules.populations.fused.kernel_arguments import (
    AdagradSettings,
    AdamSettings,
    ClippingLimits,
    Floats,
    Network,
    SlopeCells,
    StepPlan,
    Workspace,
    workspace,
)
from lightning_modules.populations.fused.lazy_adam_kernels import adam_weights, idle_coefficients, train_adam
from lightning_modules.populations.fused.sgd_kernels import sgd_weights, train_sgd

#: What is computed of a plan, by whose it is.
Shared = MutableMapping[Hashable, Any]


class TableFactory(Protocol):
    """Builds a table with its optimizer from the initial weights, and from the layers on them if there are any."""

    def __call__(self, weights: Floats, network: Network | None = None) -> "FusedTable":
        """Return the table."""


class FusedTable(ABC):
    """A table of weights that is trained by one of torch's optimizers.

    Args:
        weights: Float32 [rows, width], in C order, see :mod:`lightning_modules.populations.fused.step_kernels`; trained
            in place.
        network: The layers on the table's rows, which are trained too; changed in place.
        settings: The group of parameters of the optimizer.

    Attributes:
        steps: Number of steps taken.
    """

    #: Settings that are matched, apart from the learning rate and the weight decay; all others must be off.
    matched: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, weights: Floats, network: Network | None = None, *, settings: Mapping[str, Any]) -> None:
        self.steps = 0
        self._table = weights
        self._network = network
        self._learning_rate = float(settings["lr"])
        self._weight_decay = float(settings["weight_decay"])

    def train(self, plan: StepPlan, slopes: SlopeCells, limits: ClippingLimits, shared: Shared) -> bool:
        """Take the steps of a plan and return whether all slopes were finite; training ends where one is not.

        Args:
            plan: The steps.
            slopes: The derivatives of the loss.
            limits: Clipping of the gradients.
            shared: What tables that have taken the same steps so far compute of this plan once for all of them; empty
                at first.
        """
        finite = self._train(plan, slopes, limits, shared)
        self.steps += len(plan.steps) - 1
        return finite

    @abstractmethod
    def _train(self, plan: StepPlan, slopes: SlopeCells, limits: ClippingLimits, shared: Shared) -> bool: ...

    def _layers(self, plan: StepPlan) -> tuple[Network, Workspace] | tuple[None, None]:
        """Return the network and memory for a plan, as kernels take them."""
        if self._network is None:
            return None, None
        return self._network, workspace(self._network, plan, self._table.shape[1])

    def weights(self) -> Floats:
        """Return the weights after the steps taken, float32 [rows, width]."""
        return self._table


class SGDTable(FusedTable):
    """Stochastic gradient descent without momentum."""

    def __init__(self, weights: Floats, network: Network | None = None, *, settings: Mapping[str, Any]) -> None:
        super().__init__(weights, network, settings=settings)
        self._shrinkage = 1 - self._learning_rate * self._weight_decay
        self._last = np.zeros(len(self._table), np.int64)

    def _train(self, plan: StepPlan, slopes: SlopeCells, limits: ClippingLimits, shared: Shared) -> bool:  # noqa: ARG002
        settings = self._learning_rate, self._shrinkage
        return train_sgd(self._table, self._last, plan, slopes, limits, *settings, self.steps, *self._layers(plan))

    def weights(self) -> Floats:
        """Return the weights with the weight decay that is due."""
        return sgd_weights(self._table, self._last, self._shrinkage, self.steps)


class AdagradTable(FusedTable):
    """Adagrad (Duchi, Hazan and Singer, JMLR 12, 2011)."""

    matched = frozenset({"eps", "lr_decay", "initial_accumulator_value"})

    def __init__(self, weights: Floats, network: Network | None = None, *, settings: Mapping[str, Any]) -> None:
        super().__init__(weights, network, settings=settings)
        self._settings = AdagradSettings(
            self._learning_rate, float(settings["lr_decay"]), float(settings["eps"]), self._weight_decay
        )
        self._square = np.full_like(self._table, settings["initial_accumulator_value"])
        if network is not None:
            network.square.fill(settings["initial_accumulator_value"])

    def _train(self, plan: StepPlan, slopes: SlopeCells, limits: ClippingLimits, shared: Shared) -> bool:  # noqa: ARG002
        state = self._table, self._square
        return train_adagrad(*state, plan, slopes, limits, self._settings, self.steps, *self._layers(plan))


class _AdamTable(FusedTable):
    matched = frozenset({"betas", "eps", "decoupled_weight_decay"})

    def __init__(self, weights: Floats, network: Network | None = None, *, settings: Mapping[str, Any]) -> None:
        super().__init__(weights, network, settings=settings)
        shrinkage, weight_decay = self._decay()
        beta1, beta2 = map(float, settings["betas"])
        self._settings = AdamSettings(
            self._learning_rate, beta1, beta2, float(settings["eps"]), shrinkage, weight_decay
        )
        # Not like the table, which would write the zeros that new memory has.
        self._mean, self._square = (np.zeros(self._table.shape, np.float32) for _ in range(2))

    @abstractmethod
    def _decay(self) -> tuple[float, float]:
        """Return what a step leaves of a weight, and how much of it is added to its gradient."""


class LazyAdamTable(_AdamTable):
    """Adam (Kingma and Ba, ICLR 2015) without weight decay, or with a decoupled one (Loshchilov and Hutter, ICLR 2019).

    Raises:
        ValueError: If the moves of idle steps have no finite sum.
    """

    def __init__(self, weights: Floats, network: Network | None = None, *, settings: Mapping[str, Any]) -> None:
        super().__init__(weights, network, settings=settings)
        self._last = np.zeros(len(self._table), np.int64)
        self._idle = idle_tables(self._settings.beta1, self._settings.beta2, self._settings.shrinkage)

    def _decay(self) -> tuple[float, float]:
        return 1 - self._learning_rate * self._weight_decay, 0.0

    def _train(self, plan: StepPlan, slopes: SlopeCells, limits: ClippingLimits, shared: Shared) -> bool:
        if self._settings not in shared:
            last = self._last.copy()
            shared[self._settings] = idle_coefficients(last, plan, self._idle, self._settings, self.steps), last
        coefficients, self._last = shared[self._settings]
        state = self._table, self._mean, self._square
        return train_adam(*state, plan, coefficients, slopes, limits, self._settings, self.steps, *self._layers(plan))

    def weights(self) -> Floats:
        """Return the weights with the moves that are due."""
        state = self._table, self._mean, self._square, self._last
        return adam_weights(*state, self._idle, self._settings, self.steps)


class DenseAdamTable(_AdamTable):
    """Adam whose weight decay is added to the gradients, so that every row moves in every step in its own way."""

    def _decay(self) -> tuple[float, float]:
        return 1.0, self._weight_decay

    def _train(self, plan: StepPlan, slopes: SlopeCells, limits: ClippingLimits, shared: Shared) -> bool:  # noqa: ARG002
        state = self._table, self._mean, self._square
        return train_dense_adam(*state, plan, slopes, limits, self._settings, self.steps, *self._layers(plan))
