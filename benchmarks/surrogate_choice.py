"""Does the surrogate choose well which formulas are trained? Searches replayed on the rewards of a random search.

Every replay may train some of the formulas of a finished search that drew them at random (--search.strategy
RandomSearch --search.finalists 0). A round's formulas are chosen among a few that are drawn from those left, by the
surrogate or at random; their rewards are those of the search:

    python -m benchmarks.surrogate_choice ml100k '[runs/random]'
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jsonargparse import auto_cli
from scipy.stats import spearmanr
from torch import Tensor

from benchmarks.common.report import table, write_report
from lightning_modules.losses import LossObject, loss_of_formula
from lightning_modules.search.probes import Probe, probe_of
from lightning_modules.search.screening import Screened
from lightning_modules.search.settings import hand_made_losses
from lightning_modules.search.space import Programs, RankingSpace, SearchSpace
from lightning_modules.search.strategies.base import Outcome
from lightning_modules.search.strategies.surrogate import Surrogate
from lightning_modules.search.study import Study

#: Predictions of a probe, those of a search.
_PROBES = 20
_SPACES = {"predictions": SearchSpace, "scores": RankingSpace}


@dataclass(frozen=True)
class Trained:
    """Formulas with their rewards.

    Attributes:
        gradient: Derivatives on the probe, float64 ``[count, points]``.
        reward: Rewards, float64 ``[count]``.
        error: Standard errors of these, float64 ``[count]``.
    """

    gradient: Tensor
    reward: Tensor
    error: Tensor

    @classmethod
    def of_studies(
        cls, studies: Sequence[Study], kind: str, losses: Mapping[str, LossObject], probe: Probe
    ) -> "Trained":
        """Read candidates or references of searches, each once; those without a loss of their name are formulas."""
        found: dict[str, tuple[Tensor, float, float]] = {}
        for table_of_study in (study.losses for study in studies):
            rows = table_of_study[(table_of_study["kind"] == kind) & (table_of_study["status"] == "trained")]
            for name, *figures in rows[["formula", "reward", "standard_error"]].itertuples(index=False):
                loss = losses.get(name) or loss_of_formula(name)
                found.setdefault(name, (probe.gradient_of(loss), *figures))
        gradient, reward, error = zip(*found.values(), strict=True)
        figures = torch.tensor([reward, error], dtype=torch.float64)
        return cls(torch.stack(gradient), *figures)

    def __getitem__(self, which: Tensor) -> "Trained":
        return Trained(self.gradient[which], self.reward[which], self.error[which])

    @property
    def outcome(self) -> Outcome:
        """What a strategy is told of them, but for the programs."""
        nothing = torch.zeros(len(self.reward), dtype=torch.int64)
        shares = torch.ones(len(self.reward), dtype=torch.float64)
        screened = Screened(nothing, shares, shares, nothing, nothing + 1, self.gradient)
        return Outcome(Programs(nothing[:, None], nothing[:, None, None]), screened, self.reward, None, self.error)

    def surrogate(self, known: "Trained | None") -> Surrogate:
        """Return a surrogate that knows them, and others before them."""
        surrogate = Surrogate()
        if known is not None:
            surrogate.know(known.gradient, known.reward, known.error)
        if len(self.reward):
            surrogate.update(self.outcome)
        return surrogate


def main(
    name: str,
    studies: Sequence[str],
    space: str = "predictions",
    references: list[LossObject] | None = None,
    budgets: Sequence[int] = (16, 48, 100),
    candidates: int = 8,
    offered: int = 60,
    replays: int = 100,
    explorations: Sequence[float] = (0.0, 0.5, 1.0, 2.0),
) -> None:
    """Replay and write the table.

    Args:
        name: Name of the report.
        studies: Folders of finished random searches.
        space: What their formulas read: predictions or scores.
        references: Their hand-made losses; by default those of a search that names none.
        budgets: Formulas that a replay may train.
        candidates: Formulas to train a round.
        offered: Formulas to choose among in a round.
        replays: Replays of every row of the table, with the seeds 0, 1 and so on.
        explorations: Standard deviations that the surrogate adds to what it expects.
    """
    read = [Study.read(root) for root in studies]
    losses = {loss.title: loss for loss in (hand_made_losses() if references is None else references)}
    probe = probe_of(_SPACES[space](), torch.Generator().manual_seed(0), _PROBES, read[0].temperature)
    trained, known = (Trained.of_studies(read, kind, losses, probe) for kind in ("candidate", "reference"))
    ways: list[tuple[str, float | None, Trained | None]] = [("at random", None, None)]
    ways += [
        (f"{what}{each:g}", each, of)
        for what, of in (("", None), ("references known, ", known))
        for each in explorations
    ]
    rows = []
    for title, exploration, of_references in ways:
        found = [
            Replay(trained, of_references, exploration, candidates, offered, seed).best(budgets)
            for seed in range(replays)
        ]
        mean, spread = torch.tensor(found).mean(0), torch.tensor(found).std(0) / math.sqrt(replays)
        rows.append([title, *(f"{each:.5f} ({error:.5f})" for each, error in zip(mean, spread, strict=True))])
    write_report(
        f"surrogate_choice_{name}",
        title="Rewards of what the surrogate chooses",
        parts=[
            f"{len(trained.reward)} formulas that a search drew at random, with the rewards that it gave them; the "
            f"highest is {trained.reward.max():.5f}. A replay trains {candidates} a round, chosen among {offered}; the "
            f"first round is drawn where nothing is known. The highest reward that it finds, mean and standard error "
            f"of {replays} replays. Spearman's correlation of a reward with what is expected from the others, over ten "
            f"parts: {_correlation(trained):.2f}.",
            table(["exploration", *(f"best of {budget}" for budget in budgets)], rows),
        ],
    )


@dataclass(frozen=True)
class Replay:
    """A search among formulas whose rewards are known.

    Attributes:
        trained: The formulas.
        known: What the surrogate knows before the first round, if anything.
        exploration: Standard deviations that the surrogate adds; None chooses at random.
        candidates: Formulas to train a round.
        offered: Formulas to choose among in a round.
        seed: Seed of what is drawn.
    """

    trained: Trained
    known: Trained | None
    exploration: float | None
    candidates: int
    offered: int
    seed: int

    def best(self, budgets: Sequence[int]) -> list[float]:
        """Return the highest reward among so many trained formulas each."""
        generator = torch.Generator().manual_seed(self.seed)
        left = torch.randperm(len(self.trained.reward), generator=generator)
        found = left[:0]
        while len(found) < max(budgets):
            offered = left[torch.randperm(len(left), generator=generator)[: self.offered]]
            found = torch.cat([found, self._chosen(found, offered)])
            left = left[~torch.isin(left, found)]
        return [self.trained.reward[found[:budget]].max().item() for budget in budgets]

    def _chosen(self, found: Tensor, offered: Tensor) -> Tensor:
        if self.exploration is None or (self.known is None and not len(found)):
            return offered[: self.candidates]
        surrogate = self.trained[found].surrogate(self.known)
        screened = self.trained[offered].outcome.screened
        return offered[surrogate.best(screened, torch.arange(len(offered)), self.candidates, self.exploration)]


def _correlation(trained: Trained) -> float:
    """Return the rank correlation of rewards with what a surrogate expects that knows nine tenths of the others."""
    order = torch.randperm(len(trained.reward), generator=torch.Generator().manual_seed(0))
    expected = torch.empty_like(trained.reward)
    for part in order.chunk(10):
        others = order[~torch.isin(order, part)]
        expected[part] = trained[others].surrogate(None).predict(trained.gradient[part]).mean
    return float(spearmanr(expected, trained.reward).statistic)


if __name__ == "__main__":
    auto_cli(main)
