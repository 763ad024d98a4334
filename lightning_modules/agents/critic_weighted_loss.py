"""A multi-task loss whose rows weigh what a wrong prediction costs in the rest of the session."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from lightning_modules.agents.model_inputs import Inputs
from lightning_modules.agents.stored_critics import AgentValues
from lightning_modules.core.epoch_statistics import EpochStatistics, RowSample
from lightning_modules.losses import BCE, Loss
from lightning_modules.utilities.precision import probability_of

Variant = Literal["one_minus_q", "constant", "label_q", "minus_q"]

_FORMULAS = {"one_minus_q": "1 - {:g} Q", "constant": "1", "label_q": "-label Q", "minus_q": "-Q"}
#: The weight by Q and the label, both [n, tasks], and lambda; one that is missing is constant and needs no Q.
_WEIGHTS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "one_minus_q": lambda value, _, polish_lambda: 1 - polish_lambda * value,
    "label_q": lambda value, label, _: -label * value,
    "minus_q": lambda value, *_: -value,
}
_QUANTILES = {"q05": 0.05, "q50": 0.5, "q95": 0.95}


class CriticWeightedLoss(EpochStatistics, Loss):
    """Another loss, of which every value is multiplied by a weight that an agent's critics give to its row and task.

    The fine-tuning of RMTL (Liu et al., "Multi-Task Recommendations with Reinforcement Learning", WWW 2023,
    https://arxiv.org/abs/2302.03328): ``(1 - lambda * Q_k(s, a_k)) * loss_k``, where ``s`` are the row's features,
    ``a_k`` is the probability that the model in training predicts for task ``k``, and ``Q_k <= 0`` is what the task's
    critic expects of the row and the rest of its session. No gradient flows through the weights, and the critics are
    asked in evaluation mode and never trained. It is the loss of all tasks of a multi-task model together.

    Where there is a logger, every task's weights are logged once an epoch as ``weight/<task>/mean``, ``/std``,
    ``/q05``, ``/q50`` and ``/q95``, over all rows of the epoch or an even sample of at least 2**15 of them; of several
    processes it is the mean of theirs.

    The critics are read when training starts, so that a model that is only tested does not need the agent's file, and
    they are no part of the model's checkpoint.

    Args:
        agent: Checkpoint of a DDPG or TD3BC agent that was fitted to the model's data, sessions of the same rows.
        base: The loss that is weighted; None is binary cross-entropy.
        polish_lambda: Factor of Q in ``one_minus_q``, >= 0; with 0 it is the base loss. No other variant has it.
        variant: The weight: ``one_minus_q`` is ``1 - lambda * Q``; ``constant`` is 1; ``minus_q`` is ``-Q``;
            ``label_q`` is ``-label * Q``, the published product with the sign that does not make it negative.

    Raises:
        ValueError: If lambda is negative or not finite, or there is no such variant. When training starts, if the
            agent's fields, features or tasks differ from the model's, it was fitted to other rows than those of the
            trainer's data module, or the file is no agent's checkpoint.
        FileNotFoundError: When training starts, if there is no such file.
    """

    def __init__(
        self,
        agent: str,
        base: Loss | None = None,
        polish_lambda: float = 1.0,
        variant: Variant = "one_minus_q",
    ) -> None:
        super().__init__()
        if not 0 <= polish_lambda < math.inf:
            raise ValueError(f"polish_lambda must be >= 0, so that no weight is negative, got {polish_lambda}")
        if variant not in _FORMULAS:
            raise ValueError(f"there is no variant '{variant}' of the weights; choose among {', '.join(_FORMULAS)}")
        self.agent = agent
        self.base = BCE() if base is None else base
        self.polish_lambda = polish_lambda
        self.variant = variant
        self._critics = AgentValues(agent)
        self._weights = RowSample()

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:  # noqa: ARG002
        """Refuse, because a prediction alone has no weight.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "a CriticWeightedLoss weighs rows by their features, which only multi-task models hand to their loss; "
            "make it the loss of all tasks of such a model"
        )

    def prepare(self, field_sizes: Sequence[int], num_numerical: int, tasks: Sequence[str]) -> None:
        """Read the agent's critics and refuse them if they do not fit the model."""
        self.base.prepare(field_sizes, num_numerical, tasks)
        differences = self._critics.inputs.differences(Inputs(field_sizes, num_numerical, tasks), "the loss")
        if differences:
            raise ValueError(
                f"the agent '{self.agent}' cannot weigh this loss: it has {'; '.join(differences)}. "
                "A CriticWeightedLoss is for all tasks of a model, and its agent must be trained on the same data"
            )

    def check_data(self, datamodule: object) -> None:
        """Refuse other rows than the agent, or the base loss, was fitted to; see :class:`Loss`."""
        self.base.check_data(datamodule)
        self._critics.refuse_other_data(datamodule)

    def check_model(self, model: nn.Module) -> None:
        """Refuse a model that the base loss cannot train; see :class:`Loss`."""
        self.base.check_model(model)

    def of_rows(self, logit: Tensor, label: Tensor, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the weighted loss of every row and task, in the shapes of :class:`Loss`."""
        weight = self.weights(logit, label, categorical, numerical)
        if self.training:
            self._weights.add(weight)
        loss = self.base.of_rows(logit, label, categorical, numerical)
        return weight.to(loss.dtype) * loss

    def weights(self, logit: Tensor, label: Tensor, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the weight of every row and task, float32 [n, tasks] without a gradient.

        Args:
            logit: Logit of every task's predicted probability, float [n, tasks].
            label: 0 or 1, float [n, tasks].
            categorical: Index of every row within each field, int64 [n, fields].
            numerical: Numerical features, float [n, features].

        Raises:
            ValueError: If the first batch does not fit the critics.
        """
        weigh = _WEIGHTS.get(self.variant)
        if weigh is None:
            return torch.ones_like(label, dtype=torch.float32)
        value = self._critics.values(categorical, numerical, probability_of(logit.detach()))
        return weigh(value, label.float(), self.polish_lambda)

    def reset(self) -> None:
        """Forget the weights kept so far."""
        self._weights = RowSample()

    def statistics(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the mean, the spread and quantiles of every task's weights; nothing without a training batch."""
        weights = self._weights.rows()
        if weights is None:
            return
        for task, weight in zip(self._critics.inputs.tasks, weights.unbind(1), strict=True):
            yield f"weight/{task}/mean", weight.mean()
            yield f"weight/{task}/std", weight.std(correction=0)
            for name, share in _QUANTILES.items():
                yield f"weight/{task}/{name}", weight.quantile(share)

    @property
    def title(self) -> str:
        """The weight and the base loss."""
        return f"({_FORMULAS[self.variant].format(self.polish_lambda)}) * {self.base.title}"

    @property
    def identity(self) -> str:
        """The title, with the base's own identity and the agent's file."""
        return f"{self.title} of {self.base.identity}, Q from {self.agent}"
