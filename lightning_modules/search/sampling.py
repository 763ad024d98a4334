"""One round's draws: programs are drawn and screened until enough of them can be trained."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.search.screening import Screened, Screening, ScreeningResult
from lightning_modules.search.space import Programs
from lightning_modules.search.strategies.base import Strategy


@dataclass(frozen=True)
class Samples:
    """Everything drawn in a round, in order, and the indices ``[chosen]`` of what is to be trained."""

    programs: Programs
    screened: Screened
    chosen: Tensor


class Sampler:
    """Asks a strategy for programs until a number of trainable ones is reached, or of draws used up.

    Args:
        strategy: Who is asked.
        screening: Who judges.
        candidates: Number of programs to train a round.
        draws: Number of programs to ask for at a time.
        most_draws: A round draws no more than this, even if it then trains fewer candidates.
    """

    def __init__(
        self,
        strategy: Strategy,
        screening: Screening,
        *,
        candidates: int,
        draws: int,
        most_draws: int,
    ) -> None:
        self.strategy = strategy
        self.screening = screening
        self.candidates = candidates
        self.draws = draws
        self.most_draws = most_draws

    def __call__(self) -> Samples:
        """Draw one round."""
        asked: list[tuple[Programs, Screened]] = []
        chosen = torch.empty(0, dtype=torch.int64)
        drawn = 0
        while len(chosen) < self.candidates and drawn < self.most_draws:
            programs = self.strategy.ask(min(self.draws, self.most_draws - drawn))
            screened = self.screening(programs)
            chosen = torch.cat([chosen, drawn + self._pick(screened, self.candidates - len(chosen))])
            asked.append((programs, screened))
            drawn += len(programs)
        batches, findings = zip(*asked, strict=True)
        return Samples(Programs.concatenate(batches), Screened.concatenate(findings), chosen)

    def _pick(self, screened: Screened, count: int) -> Tensor:
        trainable = (screened.verdict == ScreeningResult.TRAINABLE).nonzero().squeeze(1)
        picked = self.strategy.choose(screened, trainable, count).sort().values
        self.screening.take(screened.signature[picked])
        return picked
