"""The outer loop of loss search: draw, screen, train a child for every candidate, learn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lightning_modules.losses import Formula, FormulaLoss, Loss, Numerics
from lightning_modules.search.drawing import Drawing, Draws
from lightning_modules.search.evaluation import ChildEvaluator, Evaluation
from lightning_modules.search.ranks import agree
from lightning_modules.search.schedule import Schedule
from lightning_modules.search.strategies.base import Outcome, Strategy
from lightning_modules.search.watchers import Candidate, RoundSummary, Watcher

#: The reward of a child that failed, or whose loss or metric was not finite.
FLOOR_REWARD = -1.0


@dataclass(frozen=True)
class Budget:
    """How much a search may spend.

    Attributes:
        rounds: Number of rounds.
        warmup_updates: Updates of the strategy on screening alone, before the first round.
        most_failures: This many failed children in a row end the search.
        top: Number of best formulas to report after every round.
    """

    rounds: int
    warmup_updates: int = 0
    most_failures: int = 5
    top: int = 10


class LossSearch:
    """Searches for a loss function (AutoLossGen, Li et al., SIGIR 2022, https://arxiv.org/abs/2204.13160).

    Knows no users and items: it works on any module that the evaluator can train.

    Args:
        strategy: Proposes programs.
        drawing: Draws and screens a round's programs.
        evaluator: Trains children.
        schedule: Holds what children start from.
        numerics: Protection of the formulas.
        baseline: The loss whose metric, under the same start and batches, is subtracted from that of every child;
            ``None`` rewards the metric itself.
        references: Hand-made losses trained under the same budget, by name.
        budget: How much to spend.
        seed: Seed of every child.
        watchers: Who is told.
    """

    def __init__(
        self,
        *,
        strategy: Strategy,
        drawing: Drawing,
        evaluator: ChildEvaluator,
        schedule: Schedule,
        numerics: Numerics,
        baseline: Loss | None,
        references: dict[str, Loss],
        budget: Budget,
        seed: int,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        self.strategy = strategy
        self.drawing = drawing
        self.evaluator = evaluator
        self.schedule = schedule
        self.numerics = numerics
        self.baseline = baseline
        self.references = references
        self.budget = budget
        self.seed = seed
        self.watchers = watchers
        self.candidates: list[Candidate] = []
        self._baseline_score = 0.0
        self._formula_rewards: dict[Formula, float] = {}
        self._signature_rewards = torch.empty(0, dtype=torch.float64)
        self._failures = 0

    def run(self) -> None:
        """Search until the budget is spent.

        Raises:
            RuntimeError: If the baseline cannot be trained, or several children in a row fail.
        """
        try:
            self._measure_baseline()
            for name, loss in self.references.items():
                self._record_reference(name, self._train(loss, name))
            self._warm_up()
            for number in range(1, self.budget.rounds + 1):
                self._round(number)
        finally:
            for watcher in self.watchers:
                watcher.on_end()

    def _warm_up(self) -> None:
        updates = self.strategy.warm_up(self.drawing.screening, self.budget.warmup_updates)
        for update, figures in enumerate(updates, start=1):
            for watcher in self.watchers:
                watcher.on_warm_up(update, figures)

    def _measure_baseline(self) -> None:
        if self.baseline is None:
            return
        evaluation = self._train(self.baseline, "baseline")
        if evaluation.score is None:
            raise RuntimeError(
                f"the baseline loss {type(self.baseline).__name__} could not be trained ({evaluation.status}). "
                f"{evaluation.error or 'Its loss or metric is not finite: look at the learning rate and the labels.'}"
            )
        self._baseline_score = evaluation.score

    def _round(self, number: int) -> None:
        draws = agree(self.drawing())
        formulas = self.strategy.space.decode(draws.programs[draws.chosen])
        rewards, best = [], None
        for formula, index in zip(formulas, draws.chosen.tolist(), strict=True):
            evaluation = self._evaluate(number, formula, draws, index)
            rewards.append(self._reward(evaluation))
            # Only the best child's weights are kept: a round's children need not fit into memory together.
            best = evaluation if best is None or rewards[-1] > self._reward(best) else best
        figures = self.strategy.tell(self._outcome(draws, rewards))
        accepted = self.schedule.advance(best)
        if accepted:
            self._measure_baseline()
        summary = RoundSummary(number, draws.programs, draws.screened, tuple(rewards), self._top(), figures, accepted)
        for watcher in self.watchers:
            watcher.on_round(summary)

    def _evaluate(self, number: int, formula: Formula, draws: Draws, index: int) -> Evaluation:
        evaluation = self._train(FormulaLoss(formula, self.numerics), str(formula))
        candidate = Candidate(
            round=number,
            kind="candidate",
            formula=str(formula),
            simplified=str(formula.simplify()),
            status=evaluation.status,
            reward=self._reward(evaluation),
            metric=evaluation.score,
            right_share=float(draws.screened.right_share[index]),
            signature=int(draws.screened.signature[index]),
            seconds=evaluation.seconds,
            error=evaluation.error,
        )
        self._formula_rewards[formula] = candidate.reward
        self._record(candidate)
        self._count_failure(evaluation, str(formula))
        return evaluation

    def _train(self, loss: Loss, name: str) -> Evaluation:
        seed = self.seed + self.schedule.moves
        return self.evaluator(self.schedule.recommender, loss, name=name, seed=seed)

    def _record_reference(self, name: str, evaluation: Evaluation) -> None:
        self._record(
            Candidate(
                round=0,
                kind="reference",
                formula=name,
                simplified="",
                status=evaluation.status,
                reward=self._reward(evaluation),
                metric=evaluation.score,
                right_share=None,
                signature=None,
                seconds=evaluation.seconds,
                error=evaluation.error,
            )
        )

    def _record(self, candidate: Candidate) -> None:
        self.candidates.append(candidate)
        for watcher in self.watchers:
            watcher.on_candidate(candidate)

    def _count_failure(self, evaluation: Evaluation, name: str) -> None:
        self._failures = self._failures + 1 if evaluation.status == "failed" else 0
        if self._failures >= self.budget.most_failures:
            raise RuntimeError(
                f"{self._failures} candidates in a row failed, the last of them '{name}' with {evaluation.error}. "
                "The ledger holds them all; a single formula would not do this, so look at the data and the trainer."
            )

    def _reward(self, evaluation: Evaluation) -> float:
        return FLOOR_REWARD if evaluation.score is None else evaluation.score - self._baseline_score

    def _outcome(self, draws: Draws, rewards: Sequence[float]) -> Outcome:
        """Give every draw its own reward, or that of the earlier program with the same gradient."""
        signature = draws.screened.signature
        numbers = max(int(signature.max()) + 1, len(self._signature_rewards))
        known = torch.full((numbers,), math.nan, dtype=torch.float64)
        known[: len(self._signature_rewards)] = self._signature_rewards
        known[signature[draws.chosen]] = torch.tensor(rewards, dtype=torch.float64)
        self._signature_rewards = known
        return Outcome(draws.programs, draws.screened, known[signature])

    def _top(self) -> tuple[tuple[Formula, float], ...]:
        best = sorted(self._formula_rewards.items(), key=lambda item: -item[1])
        return tuple(best[: self.budget.top])
