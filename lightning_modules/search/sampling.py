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
        seeds: Programs that the first round begins with, in place of as many that the strategy proposes.
    """

    def __init__(
        self,
        strategy: Strategy,
        screening: Screening,
        *,
        candidates: int,
        batch_size: int,
        limit: int,
        seeds: Programs | None = None,
    ) -> None:
        self.strategy = strategy
        self.screening = screening
        self.candidates = candidates
        self.batch_size = batch_size
        self.limit = limit
        self.seeds = seeds

    def sample(self, *, first: bool = False) -> Samples:
        """Sample the programs of one round; ``first`` says whether it is the first one."""
        seeds = self.seeds if first else None
        batches: list[tuple[Programs, Screened]] = []
        chosen = torch.empty(0, dtype=torch.int64)
        count = 0
        while len(chosen) < self.candidates and count < self.limit:
            programs = self.strategy.ask(min(self.batch_size, self.limit - count))
            if seeds is not None:
                programs = Programs.concatenate([seeds, programs])[: len(programs)]
            screened = self.screening.screen(programs)
            num_seeds = 0 if seeds is None else len(seeds)
            chosen = torch.cat([chosen, count + self._choose(screened, self.candidates - len(chosen), num_seeds)])
            seeds = None
            batches.append((programs, screened))
            count += len(programs)
        programs_asked, results = zip(*batches, strict=True)
        return Samples(Programs.concatenate(programs_asked), Screened.concatenate(results), chosen)

    def _choose(self, screened: Screened, count: int, num_seeds: int) -> Tensor:
        """Return the indices of programs to train, the trainable ones of the first ``num_seeds`` among them."""
        trainable = (screened.result == ScreeningResult.TRAINABLE).nonzero().squeeze(1)
        seeds = trainable[trainable < num_seeds][:count]
        others = self.strategy.choose(screened, trainable[trainable >= num_seeds], count - len(seeds))
        chosen = torch.cat([seeds, others]).sort().values
        self.screening.take(screened.signature[chosen])
        return chosen
