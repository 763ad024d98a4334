"""What PPO and REINFORCE share: the controller, what a program is worth to it, and one update from told outcomes."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.controller import Controller
from lightning_modules.search.programs import Programs
from lightning_modules.search.screening import Screened, Verdict
from lightning_modules.search.space import SearchSpace
from lightning_modules.search.strategies.base import Outcome, Strategy
from lightning_modules.search.strategies.elites import Elites
from lightning_modules.search.strategies.mutation import mutate


class PolicyGradient(Strategy):
    """A controller that writes programs and is updated so that better ones become more probable."""

    def __init__(
        self,
        space: SearchSpace,
        generator: torch.Generator,
        *,
        hidden_size: int = 64,
        tanh_constant: float = 4.0,
        learning_rate: float = 1e-3,
        entropy_weight: float = 0.05,
        epochs: int = 4,
        baseline_decay: float = 0.95,
        novelty_penalty: float = 0.1,
        screening_weight: float = 0.5,
        mutant_share: float = 0.5,
        num_elites: int = 50,
        imitation_weight: float = 0.1,
        warmup_draws: int = 2048,
        warmup_learning_rate: float = 2e-3,
        warmup_entropy_weight: float = 0.05,
        gradient_clip: float = 5.0,
    ) -> None:
        super().__init__(space, generator)
        self.controller = Controller(space, hidden_size, tanh_constant, generator)
        self.optimizer = torch.optim.Adam(self.controller.parameters(), learning_rate)
        self.learning_rate = learning_rate
        self.entropy_weight = entropy_weight
        self.epochs = epochs
        self.baseline_decay = baseline_decay
        self.novelty_penalty = novelty_penalty
        self.screening_weight = screening_weight
        self.mutant_share = mutant_share
        self.imitation_weight = imitation_weight
        self.warmup_draws = warmup_draws
        self.warmup_learning_rate = warmup_learning_rate
        self.warmup_entropy_weight = warmup_entropy_weight
        self.gradient_clip = gradient_clip
        self.elites = Elites(num_elites)
        self._baseline: float | None = None
        self._rewards = torch.empty(0, dtype=torch.float64)
        self._asked_mutants: list[Tensor] = []

    @abstractmethod
    def surrogate(self, log_probability: Tensor, old_log_probability: Tensor, advantage: Tensor) -> Tensor:
        """Return what each decision adds to the objective, in the shape of ``log_probability``."""

    def ask(self, count: int) -> Programs:
        """Draw from the controller; a share of the programs are mutants of the elites instead."""
        mutants = round(self.mutant_share * count) if len(self.elites) else 0
        drawn = self.controller.draw(count - mutants, self.generator)
        self._asked_mutants.append(torch.arange(count) >= count - mutants)
        if not mutants:
            return drawn
        parents = self.elites.sample(mutants, self.generator)
        return Programs.concatenate([drawn, mutate(parents, self.space, self.generator)])

    def tell(self, outcome: Outcome) -> dict[str, float]:
        mutants, self._asked_mutants = torch.cat(self._asked_mutants), []
        self.elites.update(outcome)
        trained = outcome.reward.isfinite()
        new = trained & (outcome.screened.verdict == Verdict.TRAINABLE)
        self._rewards = torch.cat([self._rewards, outcome.reward[new]]).sort().values
        value = torch.where(trained, self._value(outcome), outcome.screened.joint_share - 1)
        told = trained | (outcome.screened.verdict != Verdict.TRAINABLE) & (outcome.screened.verdict != Verdict.DUPLICATE)
        told &= ~mutants | trained
        mean = value[trained & ~mutants].mean().item() if bool((trained & ~mutants).any()) else None
        baseline = self._baseline if self._baseline is not None else mean or 0.0
        if mean is not None:
            self._baseline = self.baseline_decay * baseline + (1 - self.baseline_decay) * mean
        advantage = value - baseline
        advantage = torch.where(mutants, advantage.clamp_min(0), advantage)
        weight = torch.where(trained, 1.0 / trained.sum().clamp_min(1), self.screening_weight / (~trained & told).sum().clamp_min(1))
        figures = self._update(
            outcome.programs[told], advantage[told], weight[told], self.learning_rate, self.entropy_weight, self.imitation_weight
        )
        return figures | {"baseline": self._baseline or 0.0}

    def _value(self, outcome: Outcome) -> Tensor:
        rank = torch.searchsorted(self._rewards, outcome.reward.nan_to_num(-math.inf), right=False)
        quantile = rank / max(1, len(self._rewards))
        return quantile - self.novelty_penalty * outcome.screened.occurrences.double().log2()

    def warm_up(self, screen: Callable[[Programs], Screened], updates: int) -> Iterator[dict[str, float]]:
        for _ in range(updates):
            programs = self.controller.draw(self.warmup_draws, self.generator)
            screened = screen(programs)
            value = screened.joint_share / screened.occurrences.sqrt()
            weight = torch.full_like(value, 1 / len(value))
            figures = self._update(
                programs, value - value.mean(), weight, self.warmup_learning_rate, self.warmup_entropy_weight, 0.0
            )
            ok = screened.right_share >= 0.6 - 1e-9
            yield figures | {
                "right_share": ok.double().mean().item(),
                "distinct": len(torch.unique(screened.signature[ok])) / max(1, int(ok.sum())),
            }

    def _update(self, programs, advantage, weight, learning_rate, entropy_weight, imitation_weight) -> dict[str, float]:
        used = programs.used(len(self.space.leaves))[:, :, None]
        advantage = (advantage / advantage.std().clamp_min(1e-6)).float()[:, None, None]
        with torch.no_grad():
            old = self.controller.score(programs).log_probability
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        for _ in range(self.epochs):
            scores = self.controller.score(programs)
            gains = self.surrogate(scores.log_probability, old, advantage)
            objective = ((gains * used).sum((1, 2)) * weight.float()).sum()
            objective = objective + entropy_weight * scores.entropy.mean((0)).sum() / self.space.nodes
            if imitation_weight and self.elites.programs is not None:
                mask = self.elites.programs.used(len(self.space.leaves))[:, :, None]
                likelihood = (self.controller.score(self.elites.programs).log_probability * mask).sum((1, 2))
                objective = objective + imitation_weight * likelihood.mean()
            self.optimizer.zero_grad()
            (-objective).backward()
            torch.nn.utils.clip_grad_norm_(self.controller.parameters(), self.gradient_clip)
            self.optimizer.step()
        return {"entropy": scores.entropy.mean().item()}
