"""Exhaustive search, from the shortest formulas on."""

from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.enumeration import Enumeration
from lightning_modules.search.screening import Screened, ScreeningResult
from lightning_modules.search.space import Programs, SearchSpace
from lightning_modules.search.strategies.base import Outcome, Strategy
from lightning_modules.search.strategies.surrogate import Surrogate


class ExhaustiveSearch(Strategy):
    """Proposes all programs with one operator, then all with two, and so on, each number of operators in random order.

    Enumeration by length is how symbolic regression finds the shortest law (Bartlett, Desmond and Ferreira, "Exhaustive
    Symbolic Regression", IEEE Transactions on Evolutionary Computation 28(4), 2024, https://arxiv.org/abs/2211.11461).
    Among those of one length, programs are trained of which the :class:`Surrogate` expects most. What screening passes
    and a round has no room for waits for the next one. When there are too many programs of the next length it draws
    uniformly, as random search does.

    Args:
        space: The search space.
        generator: The only source of randomness.
        exploration: Standard deviations that the surrogate adds to what it expects of a program, so that unlike ones
            are trained too; None does without it and chooses at random.
        most_programs: The largest number of programs of one length that are enumerated.
    """

    def __init__(
        self,
        space: SearchSpace,
        generator: torch.Generator,
        exploration: float | None = 1.0,
        most_programs: int = 20_000_000,
    ) -> None:
        super().__init__(space, generator)
        self.exploration = exploration
        self.most_programs = most_programs
        self.surrogate = Surrogate()
        # Numbers of operators that have been begun, and the programs of each that wait, in their order.
        self._begun = 0
        self._waiting: list[tuple[int, Tensor]] = []
        # Of the waiting ones, what has been asked for since the last outcome: whole lengths, and programs of the next.
        self._asked = (0, 0)

    def ask(self, count: int) -> Programs:
        """Propose the next programs of one length; the last one is repeated where there are fewer."""
        place, offset = self._asked
        if place == len(self._waiting) and not self._begin_next():
            return self.space.uniform(count, self.generator)
        operators, numbers = self._waiting[place]
        part = numbers[offset : offset + count]
        ends = offset + len(part) == len(numbers)
        self._asked = (place + 1, 0) if ends else (place, offset + len(part))
        return Enumeration(self.space, operators).programs(part)[torch.arange(count).clamp(max=len(part) - 1)]

    def _begin_next(self) -> bool:
        """Let all programs with one operator more wait, and return whether there are any and not too many."""
        operators = self._begun + 1
        if operators > self.space.nodes or len(every := Enumeration(self.space, operators)) > self.most_programs:
            return False
        numbers = every.distinct()
        self._waiting.append((operators, numbers[torch.randperm(len(numbers), generator=self.generator)]))
        self._begun = operators
        return True

    def choose(self, screened: Screened, trainable: Tensor, count: int) -> Tensor:
        """Choose what the surrogate expects most of; until it knows something, or without it, at random."""
        if self.exploration is None or not len(self.surrogate):
            return super().choose(screened, trainable, count)
        return self.surrogate.best(screened, trainable, count, self.exploration)

    def tell(self, outcome: Outcome) -> dict[str, float]:
        """Let only those wait that can be trained and have not been, and learn from the others' rewards."""
        waits = (outcome.screened.result == ScreeningResult.TRAINABLE) & ~outcome.trained
        done = outcome.programs[~waits]
        operators = done.used(len(self.space.leaves)).sum(1)
        remaining = [(each, self._without(done[operators == each], each, numbers)) for each, numbers in self._waiting]
        self._waiting = [(each, numbers) for each, numbers in remaining if len(numbers)]
        self._asked = (0, 0)
        if outcome.trained.any():
            self.surrogate.update(outcome)
        return {"operators": float(self._begun), "waiting": float(sum(len(numbers) for _, numbers in self._waiting))}

    def _without(self, done: Programs, operators: int, numbers: Tensor) -> Tensor:
        return numbers[~torch.isin(numbers, Enumeration(self.space, operators).numbers(done))]

    def know(self, gradient: Tensor, reward: Tensor, standard_error: Tensor) -> None:
        """Let the surrogate learn from losses that need not be programs."""
        self.surrogate.know(gradient, reward, standard_error)

    def revise(self, signature: Tensor, reward: Tensor, standard_error: Tensor | None = None) -> None:
        """Replace the rewards that the surrogate learns from."""
        self.surrogate.revise(signature, reward, standard_error)

    def state_dict(self) -> dict[str, Any]:
        """Return the generator's state, what waits and the surrogate's programs."""
        own = {"begun": self._begun, "waiting": self._waiting, "asked": self._asked}
        return super().state_dict() | own | {"surrogate": self.surrogate.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        super().load_state_dict(state)
        self._begun, self._waiting, self._asked = state["begun"], [*state["waiting"]], state["asked"]
        self.surrogate.load_state_dict(state["surrogate"])
