"""The listwise loss that computes a formula."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_modules.losses.contract import MisfitError
from lightning_modules.losses.formula_based import FormulaBased
from lightning_modules.losses.formulas.dialect import RANKING, Dialect
from lightning_modules.losses.formulas.formula import Formula
from lightning_modules.losses.formulas.numerics import Numerics
from lightning_modules.losses.formulas.operators import EVERY_OPERATOR, NegativeScores
from lightning_modules.losses.formulas.score_leaves import TEMPERED, score_leaves
from lightning_modules.losses.listwise_loss import Scorer, check_shapes
from lightning_modules.losses.loss_object import above_zero
from lightning_modules.losses.renewed_quantiles import RenewedQuantileLoss
from lightning_modules.losses.scored_batch import ScoredBatch

_RENEWAL, _SAMPLES = 5, 1000
_MEAN = EVERY_OPERATOR["mean"]


class RankingFormulaLoss(FormulaBased, RenewedQuantileLoss):
    """The value of a formula of a positive's score and those of its negatives, such as ``softplus(gap_t)``.

    A formula is computed for every negative, and ``mean``, ``sum``, ``logmeanexp`` and ``hard`` make one value of
    those of all; a result that still is one value for each is averaged. Where negatives are drawn with unequal
    probabilities, these four weigh them.

    Args:
        formula: The formula or its text, by default that of sampled softmax, of ``pos``, ``neg``, ``gap``
            (``neg - pos``), these divided by the temperature (``pos_t``, ``neg_t``, ``gap_t``), ``beta`` and
            ``log_popularity``.
        numerics: Protection of the operators: ``protected``, ``autolossgen``, or ``eps``, ``low`` and ``high``.
        temperature: What ``pos_t``, ``neg_t`` and ``gap_t`` are divided by, > 0.
        k: Length of the lists of recommendations for whose users' quantiles ``beta`` stands, at least 1; they are
            renewed as those of :class:`SLatK`.

    Raises:
        FormulaError: If the text is not a formula of scores.
        ValueError: If there are no numerics of that name, or a number is out of its range.
    """

    dialect: ClassVar[Dialect] = RANKING

    _log_popularity: Tensor

    def __init__(
        self,
        formula: Formula | str = "logmeanexp(gap_t)",
        numerics: Numerics | str = "protected",
        temperature: float = 0.1,
        k: int = 20,
    ) -> None:
        super().__init__(k, _RENEWAL, max(k, _SAMPLES))
        self.keep_formula(formula, numerics)
        self.temperature = above_zero("temperature", temperature)
        self.register_buffer("_log_popularity", torch.zeros(0), persistent=False)

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of every positive.

        Raises:
            MisfitError: If the formula needs more of a batch than its scores.
        """
        return self.value_of(positive, negative, None, {})

    def of_quantile(self, positive: Tensor, negative: Tensor, quantile: Tensor, log_weight: Tensor | None) -> Tensor:
        """Return the loss of every positive."""
        return self.value_of(positive, negative, log_weight, {"beta": quantile})

    def of_batch(self, scored: ScoredBatch) -> Tensor:
        """Return the loss of every row of a batch, float [n]."""
        check_shapes(scored.positive, scored.negative)
        given: dict[str, Tensor] = {}
        if self._has("beta"):
            given["beta"] = self.quantiles(scored)
        if self._has("log_popularity"):
            given["log_popularity"] = self._log_popularity[scored.item].to(scored.positive.dtype)
        return self.value_of(scored.positive, scored.negative, scored.log_weight, given)

    def prepare(self, user: Tensor, item: Tensor, num_users: int, num_items: int) -> None:
        """Count the items' training users, and begin with a quantile of 0 for every user, where they are asked for."""
        if self._has("log_popularity"):
            self._log_popularity = torch.bincount(item, minlength=num_items).clamp(min=1).log()
        if self._has("beta"):
            super().prepare(user, item, num_users, num_items)

    def start_epoch(self, epoch: int, scores: Scorer, generator: torch.Generator) -> None:
        """Renew the quantiles of all users, where they are asked for and that is due."""
        if self._has("beta"):
            super().start_epoch(epoch, scores, generator)

    def value_of(
        self, positive: Tensor, negative: Tensor, log_weight: Tensor | None, of_row: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the loss of every row, float [n].

        Args:
            positive: Scores of items that users have, float [n].
            negative: Scores of each one's negatives, float [n, N].
            log_weight: Logarithms of the negatives' importance weights, float [N] or [n, N]; None where all are 1.
            of_row: What variables that scores do not tell are in every row, float [n], by name.

        Raises:
            MisfitError: If one that the formula has is missing.
        """
        names = self.formula.variables
        leaves = score_leaves(names, positive[:, None], negative, self.temperature)
        leaves |= {name: value[:, None] for name, value in of_row.items()}
        if missing := sorted(names - leaves.keys()):
            raise MisfitError(f"the loss {self.title} needs {missing[0]}, which a batch has: call of_batch(scored)")
        score = negative / self.temperature
        negatives = NegativeScores(score, log_weight)
        value = self.formula.compute(leaves, positive[:, None], self.numerics, negatives)
        loss = _MEAN(value, eps=self.numerics.eps, negatives=negatives).squeeze(1)
        # Training calls backward, which needs a value that depends on the scores.
        return loss if self.has_gradient else loss + 0 * positive

    @property
    def tunable(self) -> frozenset[str]:
        """Names of the arguments that change what it computes: the temperature if the formula has it somewhere."""
        tunable = super().tunable
        return tunable - {"temperature"} if TEMPERED.isdisjoint(self.formula.names) else tunable

    @property
    def identity(self) -> str:
        """The formula's text and temperature, followed by what is not the default."""
        top = f" and the top {self.k}" if self._has("beta") else ""
        return f"{super().identity} at temperature {self.temperature:g}{top}"

    def init_args(self) -> dict[str, Any]:
        """Return the formula's text and the other arguments as plain values."""
        return {**super().init_args(), "temperature": self.temperature, "k": self.k}

    def extra_repr(self) -> str:
        """Show the arguments when the module is printed."""
        return f"{super().extra_repr()}, temperature={self.temperature:g}"

    def _has(self, variable: str) -> bool:
        return variable in self.formula.variables
