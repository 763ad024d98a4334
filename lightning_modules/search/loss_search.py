"""The outer loop of loss search: draw, screen, train a child for every candidate, learn."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from lightning_modules.losses import Formula, FormulaLoss, Loss, Numerics
from lightning_modules.search.events import Candidate, RoundSummary, SearchObserver, SearchProgress
from lightning_modules.search.findings import SearchHistory
from lightning_modules.search.sampling import Sampler, Samples
from lightning_modules.search.snapshots import Snapshots, Stateful
from lightning_modules.search.strategies.base import Strategy
from lightning_modules.search.successive_halving import told_rewards
from lightning_modules.search.trials import Trial, Trials
from lightning_modules.utilities.processes import agree


@dataclass(frozen=True)
class SearchLimits:
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

    Knows no users and items: it works on any module that its trials can train.

    Args:
        strategy: Proposes programs.
        drawing: Samples and screens a round's programs.
        trials: Trains losses.
        numerics: Protection of the formulas.
        references: Hand-made losses trained under the same budget, by name.
        budget: How much to spend.
        watchers: Who is told.
        states: Where the search keeps its standing.
    """

    def __init__(
        self,
        *,
        strategy: Strategy,
        drawing: Sampler,
        trials: Trials,
        numerics: Numerics,
        references: Mapping[str, Loss],
        budget: SearchLimits,
        watchers: Sequence[SearchObserver] = (),
        states: Snapshots | None = None,
    ) -> None:
        self.strategy = strategy
        self.drawing = drawing
        self.trials = trials
        self.numerics = numerics
        self.references = references
        self.budget = budget
        self.watchers = watchers
        self.states = states
        self.findings = SearchHistory(budget.most_failures)
        self.warm_up = 0
        self.rounds = 0

    @property
    def candidates(self) -> list[Candidate]:
        """Every candidate and reference loss, in the order of the search."""
        return self.findings.candidates

    def run(self, state: dict[str, Any] | None = None) -> None:
        """Search until the budget is spent.

        Args:
            state: What :meth:`state_dict` returned, to go on from there.

        Raises:
            RuntimeError: If the baseline cannot be trained, or several children in a row fail.
        """
        try:
            if state is not None:
                self.load_state_dict(state)
            self.trials.measure_baseline()
            self._try_references()
            self._warm_up()
            while self.rounds < self.budget.rounds:
                self._round(self.rounds + 1)
        finally:
            for watcher in self.watchers:
                watcher.on_end()

    def _try_references(self) -> None:
        if self.candidates:
            return
        with closing(self.trials.references(self.references)) as trials:
            for trial in trials:
                self._add(_candidate(trial, self._reward(trial)))

    def _warm_up(self) -> None:
        remaining = self.budget.warmup_updates - self.warm_up
        for figures in self.strategy.warm_up(self.drawing.screening, max(0, remaining)):
            self.warm_up += 1
            for watcher in self.watchers:
                watcher.on_warm_up(self.warm_up, figures)
            self._keep_state()

    def _round(self, number: int) -> None:
        draws = agree(self.drawing())
        trials = self._try_candidates(number, draws)
        rewards = tuple(self._reward(trial) for trial in trials)
        told = told_rewards(rewards, [trial.rung for trial in trials], self.findings.floor)
        figures = self.strategy.tell(self.findings.outcome(draws, told, [trial.broke for trial in trials]))
        trained = (trial for trial in trials if not trial.broke)
        best = max(trained, key=lambda trial: (trial.rung, trial.reward), default=None)
        accepted = self.trials.advance(best)
        self.rounds = number
        if accepted:
            self.trials.measure_baseline()
        top = self.findings.top(self.budget.top)
        summary = RoundSummary(number, draws.programs, draws.screened, rewards, top, figures, accepted)
        for watcher in self.watchers:
            watcher.on_round(summary)
        self._keep_state(needed=bool(accepted) or number == self.budget.rounds)

    def _try_candidates(self, number: int, draws: Samples) -> list[Trial]:
        formulas = self.strategy.space.decode(draws.programs[draws.chosen])
        trials: dict[int, Trial] = {}
        losses = [FormulaLoss(formula, self.numerics) for formula in formulas]
        with closing(self.trials.candidates(number, losses)) as results:
            for index, trial in results:
                trials[index] = trial
                candidate = _candidate(trial, self._reward(trial))
                self._add(_drawn_candidate(candidate, formulas[index], draws, int(draws.chosen[index])))
                self.findings.check()
        return [trials[index] for index in range(len(formulas))]

    def _reward(self, trial: Trial) -> float:
        return self.findings.floor if trial.broke else trial.reward

    def _add(self, candidate: Candidate) -> None:
        self.findings.add(candidate)
        for watcher in self.watchers:
            watcher.on_candidate(candidate)

    def _keep_state(self, *, needed: bool = False) -> None:
        if self.states is not None:
            self.states.offer(self.state_dict, needed=needed)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the rest of the search depends on, as plain values and tensors."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {
            "rounds": self.rounds,
            "warm_up": self.warm_up,
            **parts,
            "schedule": self.trials.schedule.state_dict(),
        }

    def _parts(self) -> dict[str, Stateful]:
        return {"findings": self.findings, "strategy": self.strategy, "screening": self.drawing.screening}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned, and tell those who watch."""
        self.rounds, self.warm_up = state["rounds"], state["warm_up"]
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.trials.schedule.load_state_dict(state["schedule"])
        standing = SearchProgress(self.warm_up, self.rounds, tuple(self.candidates))
        for watcher in self.watchers:
            watcher.on_resume(standing)


def _candidate(trial: Trial, reward: float) -> Candidate:
    place, evaluation = trial.place, trial.evaluation
    return Candidate(
        round=place.round,
        kind=place.kind,
        formula=place.name,
        simplified="",
        status=evaluation.status,
        reward=reward,
        metric=evaluation.score,
        right_share=None,
        signature=None,
        seconds=evaluation.seconds,
        error=evaluation.error,
        position=place.position,
        epochs=place.epochs,
        standard_error=evaluation.standard_error,
    )


def _drawn_candidate(candidate: Candidate, formula: Formula, draws: Samples, index: int) -> Candidate:
    return replace(
        candidate,
        simplified=str(formula.simplify()),
        right_share=float(draws.screened.right_share[index]),
        signature=int(draws.screened.signature[index]),
    )
