"""Policy gradient strategies: a recurrent controller, trained on advantages and by imitation."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.screening import Screened, Screening
from lightning_modules.search.space import Programs, SearchSpace
from lightning_modules.search.strategies.advantages import AdvantageEstimator
from lightning_modules.search.strategies.base import Outcome, Strategy
from lightning_modules.search.strategies.controller import Controller, ProgramLikelihoods
from lightning_modules.search.strategies.memory import Archive, Elites
from lightning_modules.search.strategies.mutation import mutate
from lightning_modules.search.strategies.surrogate import Surrogate

# The least share of right gradient signs of a right program in the figures of the warm-up.
_RIGHT_SHARE = 0.6 - 1e-9


class PolicyGradient(Strategy):
    """Samples programs from a controller, which learns from their rewards and imitates good programs.

    The policy gradient raises the probability of programs in proportion to their advantage
    (:class:`AdvantageEstimator`), decision by decision; decisions on nodes that the loss does not use carry no
    gradient. Three more terms of the objective keep the search from converging too early:

    * The elites, the best programs so far, are imitated (self-imitation, Oh et al., ICML 2018,
      https://arxiv.org/abs/1806.05635), and their mutants are among the programs proposed.
    * The archive of all right-direction programs is imitated, so that the policy stays broad. The warm-up does nothing
      else, and fills the archive with programs sampled from the controller and uniform ones.
    * An entropy bonus.

    Of the trainable programs those are trained of which the :class:`Surrogate` expects most.

    Args:
        space: The search space.
        generator: The only source of randomness.
        hidden_size: See :class:`Controller`.
        tanh_constant: See :class:`Controller`.
        learning_rate: Adam's, in the rounds.
        epochs: Gradient steps on the programs of one round.
        update_draws: The most programs of a round that these steps look at: the trained ones, and others at random.
        entropy_weight: Weight of the mean entropy of a node's two decisions.
        baseline_decay: See :class:`AdvantageEstimator`.
        filter_rewards: See :class:`AdvantageEstimator`.
        novelty_penalty: See :class:`AdvantageEstimator`.
        screening_weight: See :class:`AdvantageEstimator`.
        exploration: Standard deviations that the surrogate adds to what it expects of a program, so that unlike ones
            are trained too; None does without it and chooses at random.
        mutant_share: Share of the proposed programs that are mutants of elites.
        num_elites: Number of elites.
        elite_weight: Weight of imitating the elites.
        archive_weight: Weight of imitating the archive, in the rounds.
        uniform_share: Share of uniformly sampled programs among the imitated ones of the archive.
        imitation_batch: Programs of the archive in one gradient step, in the rounds.
        warmup_draws: Programs sampled from the controller before every update of the warm-up.
        warmup_uniform: Programs sampled uniformly before an update of the warm-up, while the archive has too few.
        warmup_least_uniform: The number of uniformly sampled programs that is enough for the archive.
        warmup_batch: Programs of the archive in one gradient step of the warm-up.
        warmup_steps: Gradient steps per update of the warm-up.
        warmup_learning_rate: Adam's, in the warm-up.
        gradient_clip: Largest norm of the gradient.
        sample_operators: Sample operators in the rounds, instead of taking the most probable one.
        sample_operands: Sample operands in the rounds, instead of taking the most probable ones.
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
        update_draws: int = 1024,
        entropy_weight: float = 0.1,
        baseline_decay: float = 0.95,
        filter_rewards: bool = False,
        novelty_penalty: float = 0.1,
        screening_weight: float = 0.5,
        exploration: float | None = 1.0,
        mutant_share: float = 0.25,
        num_elites: int = 50,
        elite_weight: float = 0.1,
        archive_weight: float = 0.1,
        uniform_share: float = 0.2,
        imitation_batch: int = 256,
        warmup_draws: int = 1024,
        warmup_uniform: int = 8192,
        warmup_least_uniform: int = 100,
        warmup_batch: int = 128,
        warmup_steps: int = 4,
        warmup_learning_rate: float = 1.2e-2,
        gradient_clip: float = 5.0,
        sample_operators: bool = True,
        sample_operands: bool = True,
    ) -> None:
        super().__init__(space, generator)
        self.controller = Controller(space, hidden_size, tanh_constant, generator)
        # A memory of 100 steps, since the warm-up has a few hundred.
        self.optimizer = torch.optim.Adam(self.controller.parameters(), learning_rate, betas=(0.9, 0.99))
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.update_draws = update_draws
        self.entropy_weight = entropy_weight
        self.exploration = exploration
        self.mutant_share = mutant_share
        self.elite_weight = elite_weight
        self.archive_weight = archive_weight
        self.imitation_batch = imitation_batch
        self.warmup_draws = warmup_draws
        self.warmup_uniform = warmup_uniform
        self.warmup_least_uniform = warmup_least_uniform
        self.warmup_batch = warmup_batch
        self.warmup_steps = warmup_steps
        self.warmup_learning_rate = warmup_learning_rate
        self.gradient_clip = gradient_clip
        self.sample_operators = sample_operators
        self.sample_operands = sample_operands
        self.advantages = AdvantageEstimator(
            baseline_decay=baseline_decay,
            filter_rewards=filter_rewards,
            novelty_penalty=novelty_penalty,
            screening_weight=screening_weight,
        )
        self.surrogate = Surrogate()
        self.elites = Elites(num_elites)
        self.archive = Archive(uniform_share)
        self._asked_mutants: list[Tensor] = []

    @abstractmethod
    def objective(self, log_ratio: Tensor, advantage: Tensor) -> Tensor:
        """Return each decision's part of the objective; ``log_ratio`` is log(new probability / old probability)."""

    def ask(self, count: int) -> Programs:
        """Sample from the controller; a share of the programs are mutants of the elites instead."""
        mutants = round(self.mutant_share * count) if len(self.elites) else 0
        self._asked_mutants.append(torch.arange(count) >= count - mutants)
        sampled = self.controller.sample(
            count - mutants,
            self.generator,
            sample_operators=self.sample_operators,
            sample_operands=self.sample_operands,
        )
        if not mutants:
            return sampled
        parents = self.elites.sample(mutants, self.generator)
        return Programs.concatenate([sampled, mutate(parents, self.space, self.generator)])

    def choose(self, screened: Screened, trainable: Tensor, count: int) -> Tensor:
        """Choose what the surrogate expects most of; until it knows something, or without it, at random."""
        if self.exploration is None or not len(self.surrogate):
            return super().choose(screened, trainable, count)
        return self.surrogate.best(screened, trainable, count, self.exploration)

    def warm_up(self, screening: Screening, updates: int) -> Iterator[dict[str, float]]:
        """Learn to sample valid and different losses, from screening alone."""
        for _ in range(updates):
            sampled = self.controller.sample(self.warmup_draws, self.generator)
            screened = screening.screen(sampled)
            self.archive.add(sampled, screened)
            if self.archive.num_uniform < self.warmup_least_uniform:
                uniform = self.space.uniform(self.warmup_uniform, self.generator)
                right = screening.sieve(uniform, self.archive.least_joint_share)
                self.archive.add(right, screening.screen(right), uniform=True)
            for _ in range(self.warmup_steps if len(self.archive) else 0):
                programs = self.archive.sample(self.warmup_batch, self.generator)
                likelihood = self._mean_likelihood(programs, self.controller.likelihoods(programs).log_probability)
                self._step(likelihood, self.warmup_learning_rate)
            yield self._warmup_figures(screened)

    def tell(self, outcome: Outcome) -> dict[str, float]:
        """Update the controller with the outcome."""
        mutant, self._asked_mutants = torch.cat(self._asked_mutants), []
        self.elites.update(outcome)
        self.surrogate.update(outcome)
        self.archive.add(outcome.programs, outcome.screened)
        seen = self._seen_by_update(outcome.trained)
        advantage, weight = self.advantages.estimate(outcome[seen], mutant[seen])
        told = weight > 0
        figures = self._update(outcome.programs[seen][told], advantage[told], weight[told]) if told.any() else {}
        return figures | {"baseline": self.advantages.baseline or 0.0, "archive": float(len(self.archive))}

    def _seen_by_update(self, trained: Tensor) -> Tensor:
        """Return the indices of the programs that an update looks at, in order."""
        if len(trained) <= self.update_draws:
            return torch.arange(len(trained))
        order = torch.rand(len(trained), generator=self.generator).masked_fill(trained, -1.0).argsort()
        return order[: max(self.update_draws, int(trained.sum()))].sort().values

    def know(self, gradient: Tensor, reward: Tensor, standard_error: Tensor) -> None:
        """Let the surrogate learn from losses that need not be programs."""
        self.surrogate.know(gradient, reward, standard_error)

    def revise(self, signature: Tensor, reward: Tensor, standard_error: Tensor | None = None) -> None:
        """Replace the rewards of elites, and of what the surrogate learns from."""
        self.elites.revise(signature, reward, standard_error)
        self.surrogate.revise(signature, reward, standard_error)

    def _update(self, programs: Programs, advantage: Tensor, weight: Tensor) -> dict[str, float]:
        used = programs.used(len(self.space.leaves))[:, :, None]
        # Dividing by the standard deviation makes the weights of the other terms independent of the values' scale.
        advantage = (advantage / advantage.std(correction=0).clamp_min(1e-6)).float()[:, None, None]
        old: Tensor | None = None
        for _ in range(self.epochs):
            told, imitation = self._likelihoods(programs)
            old = told.log_probability.detach() if old is None else old
            log_ratio = told.log_probability - old
            gain = ((self.objective(log_ratio, advantage) * used).sum((1, 2)) * weight.float()).sum()
            entropy = told.entropy.mean()
            self._step(gain + self.entropy_weight * entropy + imitation, self.learning_rate)
        figures = {"entropy": entropy.item(), "gain": gain.item(), "imitation": imitation.item()}
        return figures | self.diagnostics(log_ratio[used.expand_as(log_ratio)])

    def diagnostics(self, log_ratio: Tensor) -> dict[str, float]:  # noqa: ARG002
        """Return figures on the distance of the new policy from the old one."""
        return {}

    def _likelihoods(self, programs: Programs) -> tuple[ProgramLikelihoods, Tensor]:
        """Return the likelihoods of programs, and the weighted log-likelihood of those that are imitated.

        One pass serves both: for few programs it takes almost as long as for hundreds.
        """
        imitated = self._imitated()
        batches = [programs, *(each for each, _ in imitated)]
        likelihoods = self.controller.likelihoods(Programs.concatenate(batches))
        log_probability, entropy = (each.split([*map(len, batches)]) for each in likelihoods)
        imitation = torch.zeros(())
        for (each, share), of_each in zip(imitated, log_probability[1:], strict=True):
            imitation = imitation + share * self._mean_likelihood(each, of_each)
        return ProgramLikelihoods(log_probability[0], entropy[0]), imitation

    def _imitated(self) -> list[tuple[Programs, float]]:
        """Return batches of programs to imitate in a gradient step, with their weights."""
        imitated = []
        if self.elites.programs is not None and len(self.elites) and self.elite_weight:
            imitated.append((self.elites.programs, self.elite_weight))
        if len(self.archive) and self.archive_weight:
            imitated.append((self.archive.sample(self.imitation_batch, self.generator), self.archive_weight))
        return imitated

    def _mean_likelihood(self, programs: Programs, log_probability: Tensor) -> Tensor:
        used = programs.used(len(self.space.leaves))[:, :, None]
        return (log_probability * used).sum((1, 2)).mean()

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

    def _parts(self) -> dict[str, Any]:
        return {
            "controller": self.controller,
            "optimizer": self.optimizer,
            "valuation": self.advantages,
            "surrogate": self.surrogate,
            "elites": self.elites,
            "archive": self.archive,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return everything that later proposals depend on."""
        return super().state_dict() | {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        super().load_state_dict(state)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
