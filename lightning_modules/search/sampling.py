"""Samples the programs of a round: a strategy is asked for programs until enough of them can be trained."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.search.screening import Screened, Screening, ScreeningResult
from lightning_modules.search.space import Programs
from lightning_modules.search.strategies.base import Strategy


@dataclass(frozen=True)
class Samples:
    """All programs sampled in a round, in order, and the indices ``[chosen]`` of those to be trained."""

    programs: Programs
    screened: Screened
    chosen: Tensor


class Sampler:
    """Asks a strategy for programs until a number of trainable ones is reached, or the limit of samples.

    Args:
        strategy: Proposes programs.
        screening: Tells which of them can be trained.
        candidates: Number of programs to train a round.
        batch_size: Number of programs to ask for at a time.
        limit: The largest number of programs in a round, even if fewer candidates are then trained.
    """

    def __init__(
        self,
        strategy: Strategy,
        screening: Screening,
        *,
        candidates: int,
        batch_size: int,
        limit: int,
    ) -> None:
        self.strategy = strategy
        self.screening = screening
        self.candidates = candidates
        self.batch_size = batch_size
        self.limit = limit

    def sample(self) -> Samples:
        """Sample the programs of one round."""
        batches: list[tuple[Programs, Screened]] = []
        chosen = torch.empty(0, dtype=torch.int64)
        count = 0
        while len(chosen) < self.candidates and count < self.limit:
            programs = self.strategy.ask(min(self.batch_size, self.limit - count))
            screened = self.screening.screen(programs)
            chosen = torch.cat([chosen, count + self._choose(screened, self.candidates - len(chosen))])
            batches.append((programs, screened))
            count += len(programs)
        programs_asked, results = zip(*batches, strict=True)
        return Samples(Programs.concatenate(programs_asked), Screened.concatenate(results), chosen)

    def _choose(self, screened: Screened, count: int) -> Tensor:
        trainable = (screened.result == ScreeningResult.TRAINABLE).nonzero().squeeze(1)
        chosen = self.strategy.choose(screened, trainable, count).sort().values
        self.screening.take(screened.signature[chosen])
        return chosen
