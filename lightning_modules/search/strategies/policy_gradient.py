"""What PPO and REINFORCE share: the controller, what a program is worth to it, and its updates."""

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
from lightning_modules.search.strategies.archive import Archive
from lightning_modules.search.strategies.base import Outcome, Strategy
from lightning_modules.search.strategies.elites import Elites
from lightning_modules.search.strategies.mutation import mutate

# A gradient sign counts as right-direction writing, in the figures of the warm-up, from this share on.
_RIGHT_SHARE = 0.6 - 1e-9


class PolicyGradient(Strategy):
    """A controller that writes programs, and learns from those that it and the search found good.

    The gradient of the policy is one of four forces on the controller, none of which alone keeps a search alive:

    * The policy gradient raises the probability of programs in proportion to their advantage. The value of a trained
      program is the share of all rewards so far that it beats (rewards themselves are all but equal among good
      formulas and far apart among bad ones) less ``novelty_penalty`` for every doubling of the draws of its gradient
      signature. A program that screening rejects is worth the share of probes at which it is right for both labels,
      less 1. Decisions on nodes that the loss does not use carry no gradient.
    * Elites, the best programs so far, are imitated (self-imitation, Oh et al., ICML 2018,
      https://arxiv.org/abs/1806.05635), and their mutants are among the programs proposed. Of a mutant only a success
      is learned, since the controller did not write it.
    * The archive of all right-direction programs, each gradient once, is imitated, so that the policy stays broad.
    * An entropy bonus.

    The warm-up imitates the archive alone, and fills it with the controller's own draws and uniform ones.

    Args:
        space: What the programs are made of.
        generator: The only source of randomness.
        hidden_size: See :class:`Controller`.
        tanh_constant: See :class:`Controller`.
        learning_rate: Of Adam, in the rounds.
        epochs: Gradient steps on the programs of one round.
        entropy_weight: Of the mean entropy of a decision.
        baseline_decay: Of the exponential moving average of the values, which is subtracted from them.
        filter_rewards: Give a trained program below the baseline the value -1 and leave it out of the baseline, as
            AutoLossGen does.
        novelty_penalty: Taken off a value for every doubling of the draws of its signature.
        screening_weight: Of rejected programs, relative to trained ones.
        mutant_share: Share of the proposed programs that are mutants of elites.
        num_elites: Number of elites.
        elite_weight: Of imitating the elites.
        archive_weight: Of imitating the archive, in the rounds.
        warmup_draws: Programs that the controller draws before every update of the warm-up.
        warmup_uniform: Programs drawn uniformly before every update of the warm-up.
        warmup_steps: Gradient steps an update of the warm-up.
        warmup_learning_rate: Of Adam, in the warm-up.
        imitation_batch: Programs of the archive in one gradient step.
        gradient_clip: Largest norm of the gradient.
    """

    def __init__(
        self,
        space: SearchSpace,
        generator: torch.Generator,
        *,
        hidden_size: int = 64,
        tanh_constant: float = 4.0,
        learning_rate: float = 1e-3,
        epochs: int = 4,
        entropy_weight: float = 0.05,
        baseline_decay: float = 0.95,
        filter_rewards: bool = False,
        novelty_penalty: float = 0.1,
        screening_weight: float = 0.5,
        mutant_share: float = 0.25,
        num_elites: int = 50,
        elite_weight: float = 0.1,
        archive_weight: float = 0.1,
        warmup_draws: int = 1024,
        warmup_uniform: int = 8192,
        warmup_steps: int = 4,
        warmup_learning_rate: float = 4e-3,
        imitation_batch: int = 256,
        gradient_clip: float = 5.0,
    ) -> None:
        super().__init__(space, generator)
        self.controller = Controller(space, hidden_size, tanh_constant, generator)
        self.optimizer = torch.optim.Adam(self.controller.parameters(), learning_rate)
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.entropy_weight = entropy_weight
        self.baseline_decay = baseline_decay
        self.filter_rewards = filter_rewards
        self.novelty_penalty = novelty_penalty
        self.screening_weight = screening_weight
        self.mutant_share = mutant_share
        self.elite_weight = elite_weight
        self.archive_weight = archive_weight
        self.warmup_draws = warmup_draws
        self.warmup_uniform = warmup_uniform
        self.warmup_steps = warmup_steps
        self.warmup_learning_rate = warmup_learning_rate
        self.imitation_batch = imitation_batch
        self.gradient_clip = gradient_clip
        self.elites = Elites(num_elites)
        self.archive = Archive()
        self._baseline: float | None = None
        self._rewards = torch.empty(0, dtype=torch.float64)
        self._asked_mutants: list[Tensor] = []

    @abstractmethod
    def surrogate(self, log_ratio: Tensor, advantage: Tensor) -> Tensor:
        """Return each decision's part of the objective; ``log_ratio`` is that of the new policy to the old one."""

    def ask(self, count: int) -> Programs:
        """Draw from the controller; a share of the programs are mutants of the elites instead."""
        mutants = round(self.mutant_share * count) if len(self.elites) else 0
        self._asked_mutants.append(torch.arange(count) >= count - mutants)
        drawn = self.controller.draw(count - mutants, self.generator)
        if not mutants:
            return drawn
        parents = self.elites.sample(mutants, self.generator)
        return Programs.concatenate([drawn, mutate(parents, self.space, self.generator)])

    def warm_up(self, screen: Callable[[Programs], Screened], updates: int) -> Iterator[dict[str, float]]:
        """Learn to write valid and different losses, from screening alone."""
        for _ in range(updates):
            drawn = self.controller.draw(self.warmup_draws, self.generator)
            screened = screen(drawn)
            self.archive.add(drawn, screened)
            uniform = self.space.uniform(self.warmup_uniform, self.generator)
            self.archive.add(uniform, screen(uniform))
            for _ in range(self.warmup_steps if len(self.archive) else 0):
                self._step(self._archive_likelihood(), self.warmup_learning_rate)
            yield self._warmup_figures(screened)

    def tell(self, outcome: Outcome) -> dict[str, float]:
        """Update the controller with everything told."""
        mutant, self._asked_mutants = torch.cat(self._asked_mutants), []
        self.elites.update(outcome)
        self.archive.add(outcome.programs, outcome.screened)
        self._rewards = torch.cat([self._rewards, outcome.reward[outcome.trained]]).sort().values
        advantage, weight = self._advantage(outcome, mutant)
        told = weight > 0
        figures = self._update(outcome.programs[told], advantage[told], weight[told]) if told.any() else {}
        return figures | {"baseline": self._baseline or 0.0, "archive": float(len(self.archive))}

    def _advantage(self, outcome: Outcome, mutant: Tensor) -> tuple[Tensor, Tensor]:
        """Return every program's advantage and weight; programs without a value weigh nothing."""
        rewarded = outcome.reward.isfinite()
        rejected = ~rewarded & (outcome.screened.verdict != Verdict.TRAINABLE) & ~mutant
        rejected &= outcome.screened.verdict != Verdict.DUPLICATE
        value = torch.where(rewarded, self._reward_value(outcome), outcome.screened.joint_share - 1)
        baseline = self._moving_baseline(value[rewarded & ~mutant])
        if self.filter_rewards:
            value = torch.where(rewarded & (value < baseline - 1e-5), -1.0, value)
        advantage = value - baseline
        advantage = torch.where(mutant, advantage.clamp_min(0), advantage)
        weight = rewarded / rewarded.sum().clamp_min(1) + self.screening_weight * rejected / rejected.sum().clamp_min(1)
        return advantage, weight

    def _reward_value(self, outcome: Outcome) -> Tensor:
        beaten = torch.searchsorted(self._rewards, outcome.reward.nan_to_num(-math.inf))
        penalty = self.novelty_penalty * outcome.screened.occurrences.double().log2()
        return beaten / max(1, len(self._rewards)) - penalty

    def _moving_baseline(self, values: Tensor) -> float:
        """Return the baseline before these values, and let them move it."""
        baseline = self._baseline
        moving = values[values >= baseline - 1e-5] if self.filter_rewards and baseline is not None else values
        if len(moving):
            mean = moving.mean().item()
            baseline = mean if baseline is None else baseline
            self._baseline = self.baseline_decay * baseline + (1 - self.baseline_decay) * mean
        return baseline or 0.0

    def _update(self, programs: Programs, advantage: Tensor, weight: Tensor) -> dict[str, float]:
        used = programs.used(len(self.space.leaves))[:, :, None]
        # Dividing by the spread keeps the balance of the forces the same, whatever the rewards' scale.
        advantage = (advantage / advantage.std(correction=0).clamp_min(1e-6)).float()[:, None, None]
        with torch.no_grad():
            old = self.controller.score(programs).log_probability
        for _ in range(self.epochs):
            scores = self.controller.score(programs)
            log_ratio = scores.log_probability - old
            gain = ((self.surrogate(log_ratio, advantage) * used).sum((1, 2)) * weight.float()).sum()
            entropy = scores.entropy.mean()
            self._step(gain + 2 * self.entropy_weight * entropy + self._imitation(), self.learning_rate)
        return {"entropy": entropy.item(), **self.diagnostics(log_ratio[used.expand_as(log_ratio)])}

    def diagnostics(self, log_ratio: Tensor) -> dict[str, float]:  # noqa: ARG002
        """Return figures on how far the last step of an update was from the old policy."""
        return {}

    def _imitation(self) -> Tensor:
        likelihood = torch.zeros(())
        if self.elites.programs is not None and self.elite_weight:
            likelihood = likelihood + self.elite_weight * self._likelihood(self.elites.programs)
        if len(self.archive) and self.archive_weight:
            likelihood = likelihood + self.archive_weight * self._archive_likelihood()
        return likelihood

    def _archive_likelihood(self) -> Tensor:
        return self._likelihood(self.archive.sample(self.imitation_batch, self.generator))

    def _likelihood(self, programs: Programs) -> Tensor:
        used = programs.used(len(self.space.leaves))[:, :, None]
        return (self.controller.score(programs).log_probability * used).sum((1, 2)).mean()

    def _step(self, objective: Tensor, learning_rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.zero_grad()
        (-objective).backward()
        torch.nn.utils.clip_grad_norm_(self.controller.parameters(), self.gradient_clip)
        self.optimizer.step()

    def _warmup_figures(self, screened: Screened) -> dict[str, float]:
        right = screened.right_share >= _RIGHT_SHARE
        distinct = len(torch.unique(screened.signature[right])) / max(1, int(right.sum()))
        return {"right_share": right.double().mean().item(), "distinct": distinct, "archive": float(len(self.archive))}

    def state_dict(self) -> dict[str, Any]:
        """Return everything that later proposals depend on."""
        return super().state_dict() | {
            "controller": self.controller.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "elites": self.elites.state_dict(),
            "archive": self.archive.state_dict(),
            "baseline": self._baseline,
            "rewards": self._rewards,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned."""
        super().load_state_dict(state)
        self.controller.load_state_dict(state["controller"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.elites.load_state_dict(state["elites"])
        self.archive.load_state_dict(state["archive"])
        self._baseline, self._rewards = state["baseline"], state["rewards"]
