"""The history of a search: its candidates, and the rewards known for formulas and gradient signatures."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from lightning_modules.losses import Formula
from lightning_modules.search.events import Candidate
from lightning_modules.search.rewards import failure_reward
from lightning_modules.search.sampling import Samples
from lightning_modules.search.strategies.base import Outcome
from lightning_modules.utilities.untrusted_data import built


class SearchHistory:
    """Collects candidates, the rewards of formulas and those of gradient signatures.

    Args:
        most_failures: The number of failed candidates in a row that ends a search.

    Attributes:
        candidates: Every candidate and reference loss, in the order of the search.
        best_round: The round that first had the best formula so far; 0 if there is none.
    """

    def __init__(self, most_failures: int) -> None:
        self.most_failures = most_failures
        self.candidates: list[Candidate] = []
        self.best_round = 0
        self._best = (0, -math.inf)
        self._signature_rewards = torch.empty(0, dtype=torch.float64)
        self._signature_errors = torch.empty(0, dtype=torch.float64)
        self._formulas: dict[Formula, tuple[int, float]] = {}
        self._failures = 0
        self._lowest = math.inf

    @property
    def failure_reward(self) -> float:
        """The reward of a failed trial: less than that of every trained one so far."""
        return failure_reward([self._lowest])

    def add(self, candidate: Candidate, *, known: bool = False) -> None:
        """Add a candidate or reference loss.

        Args:
            candidate: The candidate.
            known: Whether an earlier process trained it. Then it does not count towards the failures in a row, since
                the cause of a failure may be gone.
        """
        self.candidates.append(candidate)
        trained = candidate.status == "trained"
        if trained:
            self._lowest = min(self._lowest, candidate.reward)
        if candidate.kind == "candidate":
            if trained:
                self._keep_best(candidate)
                self._formulas[Formula.parse(candidate.formula)] = (candidate.epochs, candidate.reward)
            if not known:
                self._failures = self._failures + 1 if candidate.status == "failed" else 0

    def _keep_best(self, candidate: Candidate) -> None:
        # As in the ranking: rewards of different budgets do not compare.
        if (candidate.epochs, candidate.reward) > self._best:
            self._best, self.best_round = (candidate.epochs, candidate.reward), candidate.round

    def check(self) -> None:
        """Raise a RuntimeError if too many candidates in a row have failed."""
        if self._failures < self.most_failures:
            return
        last = self.candidates[-1]
        raise RuntimeError(
            f"{self._failures} candidates in a row failed, the last of them '{last.formula}' with {last.error}. "
            "The ledger holds them all; a single formula would not do this, so look at the data and the trainer."
        )

    def top(self, count: int) -> tuple[tuple[Formula, float], ...]:
        """Return the best trained formulas with their rewards: the longest budget first, then the highest reward."""
        best = sorted(self._formulas.items(), key=lambda item: item[1], reverse=True)
        return tuple((formula, reward) for formula, (_, reward) in best[:count])

    def outcome(
        self,
        samples: Samples,
        rewards: Sequence[float],
        failed: Sequence[bool] = (),
        errors: Sequence[float | None] = (),
    ) -> Outcome:
        """Give every sampled program its reward, or that of an earlier program with the same gradient signature.

        Args:
            samples: The programs of a round.
            rewards: Rewards of the chosen ones.
            failed: Whether their trials failed, so that they have no reward of their own; empty if none did.
            errors: Their standard errors, ``None`` where unknown; empty if all are.
        """
        signature = samples.screened.signature
        known = _extended(self._signature_rewards, int(signature.max()) + 1)
        told = torch.tensor(rewards, dtype=torch.float64)
        # -inf is less than every later reward; strategies are told a finite number.
        lost = torch.tensor(failed or [False] * len(told), dtype=torch.bool)
        known[signature[samples.chosen]] = told.masked_fill(lost, -math.inf)
        self._signature_rewards = known
        error = _extended(self._signature_errors, len(known))
        error[signature[samples.chosen]] = with_nan(errors or [None] * len(told))
        self._signature_errors = error
        reward = known[signature]
        broken = reward == -math.inf
        return Outcome(
            samples.programs,
            samples.screened,
            reward.masked_fill(broken, self.failure_reward),
            broken,
            error[signature],
        )

    def know(self, signature: int, reward: float) -> None:
        """Give a gradient signature a reward that has no error."""
        self._signature_rewards, self._signature_errors = (
            _extended(each, signature + 1) for each in (self._signature_rewards, self._signature_errors)
        )
        self._signature_rewards[signature], self._signature_errors[signature] = reward, 0.0

    def revise(self, signature: Tensor, reward: Tensor, standard_error: Tensor) -> None:
        """Replace the rewards ``[count]`` that programs with gradient signatures ``[count]`` are told later."""
        self._signature_rewards[signature] = reward
        self._signature_errors[signature] = standard_error

    def state_dict(self) -> dict[str, Any]:
        """Return everything as plain values and tensors."""
        rows = [asdict(candidate) for candidate in self.candidates]
        state = {"candidates": rows, "signature_rewards": self._signature_rewards}
        # The state of a new search names what every state has to have, those of earlier versions too.
        return {**state, "signature_errors": self._signature_errors} if len(self._signature_errors) else state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned.

        Raises:
            ValueError: If a row is no candidate.
        """
        self.candidates, self._formulas, self._failures, self._lowest = [], {}, 0, math.inf
        self._best, self.best_round = (0, -math.inf), 0
        self._signature_rewards = state["signature_rewards"]
        # Earlier versions kept no standard errors.
        errors = state.get("signature_errors", torch.empty(0, dtype=torch.float64))
        self._signature_errors = _extended(errors.double(), len(self._signature_rewards))
        for row in state["candidates"]:
            self.add(built(Candidate, row), known=True)


def _extended(values: Tensor, count: int) -> Tensor:
    """Return a copy of values, followed by nan up to a number of them."""
    return torch.cat([values, values.new_full((max(0, count - len(values)),), math.nan)])


def with_nan(values: Sequence[float | None]) -> Tensor:
    """Return values as float64 ``[n]``, nan where there is none."""
    return torch.tensor([math.nan if each is None else each for each in values], dtype=torch.float64)
