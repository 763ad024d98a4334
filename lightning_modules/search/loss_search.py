"""The outer loop of a loss search: sample and screen formulas, train the candidates, update the strategy.

A formula passes six files from the strategy's ``ask`` to ``Trainer.fit``: ``sampling.py`` asks and screens,
``loss_search.py`` makes it a loss, ``trials.py`` names its trial and trains it once in a study,
``executors/dispatch.py`` gives it to a worker, ``evaluation.py`` (or ``population_evaluation.py``) trains a copy of the
recommender with it, and ``training/trainers.py`` calls the Trainer.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import torch

from lightning_modules.losses import LossObject, Numerics, loss_of_formula
from lightning_modules.losses.formula_losses import DEFAULT_TEMPERATURE
from lightning_modules.search.answer import Validation
from lightning_modules.search.contenders import Contenders
from lightning_modules.search.events import Candidate, RoundSummary, SearchObserver, SearchObservers, SearchProgress
from lightning_modules.search.finalists import Finalists, best_distinct, lessons_of
from lightning_modules.search.gradient_scale import GradientScale
from lightning_modules.search.history import SearchHistory, with_nan
from lightning_modules.search.limits import SearchClock, SearchLimits
from lightning_modules.search.sampling import Sampler, Samples
from lightning_modules.search.snapshots import Snapshots, Stateful
from lightning_modules.search.strategies.base import Strategy
from lightning_modules.search.successive_halving import told_rewards
from lightning_modules.search.trial import Trial
from lightning_modules.search.trials import Trials
from lightning_modules.utilities.processes import broadcast_from_first


class LossSearch:
    """Searches for a loss function (AutoLossGen, Li et al., SIGIR 2022, https://arxiv.org/abs/2204.13160).

    It does not depend on users and items: any module can be searched for that its trials can train.

    Args:
        strategy: Proposes programs and learns from their rewards.
        sampler: Samples and screens the programs of a round.
        trials: Trains losses.
        numerics: Numeric protection of the formulas.
        references: Hand-made losses, by name, trained under the longest budget.
        limits: The length of the search.
        node_price: Subtracted from the reward that the strategy is told, for every operator of a program's expression.
        finalists: Trains the best candidates to convergence; ``None`` leaves that out.
        scale: Multiplies every formula before it is trained; ``None`` trains all as they are.
        observers: Receive the events.
        snapshots: Keeps the state of the search.
        temperature: Temperature of formulas of scores.

    Attributes:
        clock: The time that the search has taken.
        ending: Why it ended; empty until then.
        validation: What became of the finalists when they were last trained; ``None`` until then.
    """

    def __init__(
        self,
        *,
        strategy: Strategy,
        sampler: Sampler,
        trials: Trials,
        numerics: Numerics,
        references: Mapping[str, LossObject],
        limits: SearchLimits,
        node_price: float = 0.0,
        finalists: Finalists | None = None,
        scale: GradientScale | None = None,
        observers: Sequence[SearchObserver] = (),
        snapshots: Snapshots | None = None,
        temperature: float = DEFAULT_TEMPERATURE,
    ) -> None:
        self.strategy = strategy
        self.sampler = sampler
        self.trials = trials
        self.numerics = numerics
        self.temperature = temperature
        self.references = references
        self.limits = limits
        self.node_price = node_price
        self.finalists = finalists
        self.scale = scale
        self.observers = SearchObservers(observers)
        self.snapshots = snapshots
        self.history = SearchHistory(limits.most_failures)
        self.clock = SearchClock()
        self.ending = ""
        self.warm_up = 0
        self.rounds = 0
        self.validation: Validation | None = None

    @property
    def candidates(self) -> list[Candidate]:
        """Every candidate and reference loss, in the order of the search."""
        return self.history.candidates

    def run(self, state: dict[str, Any] | None = None) -> None:
        """Search until a limit is reached.

        Args:
            state: A state that :meth:`state_dict` returned, to continue from.

        Raises:
            RuntimeError: If the baseline cannot be trained, or several candidates in a row fail.
        """
        with self._ended_observers():
            if state is not None:
                self.load_state_dict(state)
            self.trials.measure_baseline(self.observers.on_setting)
            self.observers.on_baseline()
            if state is None:
                self._know_baseline()
            self._train_references()
            if state is None:
                self._tell_of_references()
            self._warm_up()
            self.ending = self._ending()
            while not self.ending:
                self._teach_finalists()
                accepted = self._round(self.rounds + 1)
                self.ending = self._ending()
                self._offer_snapshot(needed=bool(accepted or self.ending))
            if self.finalists is not None:
                self._validate(self.finalists)

    @contextmanager
    def _ended_observers(self) -> Iterator[None]:
        """Call the observers' ``on_end`` once; an error that ended the search goes before those of observers."""
        try:
            yield
        except BaseException as error:
            try:
                self.observers.on_end()
            except BaseException as later:
                error.add_note(f"An observer of the search then failed to end: {type(later).__name__}: {later}")
            raise
        self.observers.on_end()

    def _know_baseline(self) -> None:
        """Let formulas that train as the baseline does, where scales do not count, be duplicates with its reward.

        That is known, 0, where rewards are differences to it.
        """
        if self.scale is not None and self.trials.baseline.loss is not None:
            self.history.know(self.sampler.screening.take_loss(self.scale.baseline), 0.0)

    def _train_references(self) -> None:
        if self.candidates:
            return
        with closing(self.trials.references(self.references)) as trials:
            for trial in trials:
                self._add(Candidate.of_trial(trial, self._reward(trial)))

    def _tell_of_references(self) -> None:
        """Let the strategy learn from the hand-made losses and the baseline, whose rewards are known by now."""
        trained = [each for each in self.candidates if each.status == "trained"]
        losses = [self.references[each.formula] for each in trained]
        values = [(each.reward, each.standard_error) for each in trained]
        if self.trials.baseline.loss is not None:
            losses, values = [*losses, self.trials.baseline.loss], [*values, (0.0, 0.0)]
        if not losses:
            return
        gradient = torch.stack([self.sampler.screening.gradient_of(loss) for loss in losses])
        reward, error = (with_nan(each) for each in zip(*values, strict=True))
        # Some losses do not depend on what the probe varies.
        known = gradient.isfinite().all(1) & gradient.any(1)
        self.strategy.know(gradient[known], reward[known], error[known])

    def _warm_up(self) -> None:
        remaining = self.limits.warmup_updates - self.warm_up
        for figures in self.strategy.warm_up(self.sampler.screening, max(0, remaining)):
            self.warm_up += 1
            self.observers.on_warm_up(self.warm_up, figures)
            self._offer_snapshot()

    def _ending(self) -> str:
        """Return why no further round begins; a round that was begun before an interruption always goes on."""
        if self.rounds < self.limits.rounds and self.trials.has_begun(self.rounds + 1):
            return ""
        reason = self.limits.ending(self.rounds, self.history.best_round, self.clock.seconds)
        return broadcast_from_first(reason)

    def _round(self, number: int) -> bool | None:
        """Search a round, and return whether the recommender took over weights."""
        samples = broadcast_from_first(self.sampler.sample(first=number == 1))
        trials = self._train_candidates(number, samples)
        rewards = tuple(self._reward(trial) for trial in trials)
        told = told_rewards(rewards, [trial.rung for trial in trials], self.history.failure_reward)
        errors = [trial.evaluation.standard_error for trial in trials]
        outcome = self.history.outcome(samples, told, [trial.failed for trial in trials], errors)
        figures = self.strategy.tell(outcome.priced(self.node_price, len(self.strategy.space.leaves)))
        trained = (trial for trial in trials if not trial.failed)
        best = max(trained, key=lambda trial: (trial.rung, trial.reward), default=None)
        accepted = self.trials.advance(best)
        self.rounds = number
        if accepted:
            self.trials.measure_baseline()
        top = self.history.top(self.limits.top)
        summary = RoundSummary(number, samples.programs, samples.screened, rewards, top, figures, accepted)
        self.observers.on_round(summary)
        return accepted

    def _teach_finalists(self) -> None:
        """Train the finalists if it is time, and let the search go on with what became of them.

        It is done before a round and not after one, so that an interrupted search does it again.
        """
        every = self.limits.validate_every
        if self.finalists is None or not every or not self.rounds or self.rounds % every:
            return
        lessons = lessons_of(self._validate(self.finalists), self.candidates, scaled=self.scale is not None)
        self.history.revise(lessons.signature, lessons.reward, lessons.standard_error)
        priced = lessons.reward - self.node_price * lessons.operators
        self.strategy.revise(lessons.signature, priced, lessons.standard_error)

    def _validate(self, finalists: Finalists) -> Validation:
        """Train the best candidates to convergence, and tell the observers which of them is the answer."""
        chosen = best_distinct(self.candidates, finalists.count)
        losses = [loss_of_formula(formula, self.numerics, self.temperature) for formula in chosen]
        with closing(finalists.train(losses)) as finished:
            for runs in finished:
                self.observers.on_finalist(runs)
        self.validation = finalists.validation(self.rounds, chosen)
        self.observers.on_validation(self.validation)
        return self.validation

    def _train_candidates(self, number: int, samples: Samples) -> list[Trial]:
        formulas = self.strategy.space.decode(samples.programs[samples.chosen])
        trials: dict[int, Trial] = {}
        losses = [loss_of_formula(formula, self.numerics, self.temperature) for formula in formulas]
        if self.scale is not None:
            losses = [self.scale.scaled(loss) for loss in losses]
        with closing(self._final(number, losses)) as results:
            for index, trial in results:
                trials[index] = trial
                sampled = int(samples.chosen[index])
                self._add(
                    replace(
                        Candidate.of_trial(trial, self._reward(trial)),
                        simplified=str(losses[index].formula.simplify()),
                        operators=losses[index].formula.num_operators,
                        right_share=float(samples.screened.right_share[sampled]),
                        signature=int(samples.screened.signature[sampled]),
                    ),
                    known=self.trials.has_stored(trial.key),
                )
                self.history.check()
        return [trials[index] for index in range(len(losses))]

    def _final(self, number: int, losses: Sequence[LossObject]) -> Generator[tuple[int, Trial]]:
        """Train candidates, the best of all so far twice, and yield each with its index when its result is final."""
        contenders = Contenders(self.trials.retrained_share, self._longest_rewards(), len(losses))
        held: dict[int, Trial] = {}
        with closing(self.trials.candidates(number, losses)) as results:
            for index, trial in results:
                if trial.key.epochs == self.trials.halving.longest and contenders.add(trial):
                    held[index] = trial
                else:
                    yield index, trial
        best = {index: trial for index, trial in held.items() if contenders.has(trial)}
        yield from ((index, trial) for index, trial in held.items() if index not in best)
        with closing(self.trials.again(list(best.values()))) as trials:
            yield from zip(best, trials, strict=True)

    def _longest_rewards(self) -> list[float]:
        """Return the rewards of the candidates that were trained under the longest budget."""
        longest = self.trials.halving.longest
        return [
            each.reward
            for each in self.candidates
            if (each.kind, each.status, each.epochs) == ("candidate", "trained", longest)
        ]

    def _reward(self, trial: Trial) -> float:
        return self.history.failure_reward if trial.failed else trial.reward

    def _add(self, candidate: Candidate, *, known: bool = False) -> None:
        self.history.add(candidate, known=known)
        self.observers.on_candidate(candidate)

    def _offer_snapshot(self, *, needed: bool = False) -> None:
        if self.snapshots is not None:
            self.snapshots.offer(self.state_dict, needed=needed)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the rest of the search depends on, as plain values and tensors."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        schedule = self.trials.schedule.state_dict()
        return {"rounds": self.rounds, "warm_up": self.warm_up, **parts, "schedule": schedule}

    def _parts(self) -> dict[str, Stateful]:
        # The names are those in stored snapshots.
        return {"findings": self.history, "strategy": self.strategy, "screening": self.sampler.screening}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned, and tell the observers."""
        self.rounds, self.warm_up = state["rounds"], state["warm_up"]
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.trials.schedule.load_state_dict(state["schedule"])
        self.observers.on_resume(SearchProgress(self.warm_up, self.rounds, tuple(self.candidates)))
