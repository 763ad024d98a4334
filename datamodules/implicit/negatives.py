"""Where the negatives of top-N recommendation come from; none is an item that the row's user has."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from datamodules.batches import TopNBatch
from datamodules.implicit.item_distributions import ItemDistribution, PopularItems, UniformItems
from datamodules.implicit.shared_negatives import with_shared_negatives
from datamodules.implicit.user_items import UserItems


class Negatives(ABC):
    """Draws the negatives of a batch, on its device, from the given generator alone.

    No negative is an item of its row's user. They are drawn with replacement, so that a row may have one several
    times. Where all rows of a batch share their negatives, a row whose user has one of them uses another of its own
    in place of it, and a row whose user has all of them is left out; should no row be left, each has its own.

    Args:
        count: Negatives of a row; None for as many as there are rows.
        shared: Whether all rows of a batch share their negatives.
        log_q: Whether batches tell the logarithm of a negative's probability, by which losses correct its score. The
            score of the positive item is not corrected.

    Raises:
        ValueError: If the count is below 1.
    """

    def __init__(self, count: int | None, *, shared: bool, log_q: bool) -> None:
        if count is not None and count < 1:
            raise ValueError(
                f"{type(self).__name__} with {count} negatives a row leaves nothing to learn; give 1 or more"
            )
        self.count = count
        self.shared = shared
        self.log_q = log_q
        self._distribution: ItemDistribution | None = None

    @abstractmethod
    def distribution(self, items: UserItems) -> ItemDistribution:
        """Return the probabilities of the items, given those of the users."""

    def draw(self, user: Tensor, item: Tensor, items: UserItems, generator: torch.Generator) -> TopNBatch:
        """Return rows with their negatives.

        Args:
            user: Index of the user, int64 [n]; nobody but those whom :meth:`serves`.
            item: Index of an item of the user, int64 [n].
            items: The users' items, which are no negatives.
            generator: Source of the draws, on the device of the rows.
        """
        source = self._source(items)
        batch = None
        if self.shared:
            batch = with_shared_negatives(user, item, self.draw_shared(item, source, generator), items)
        if batch is None:
            batch = self._with_own_negatives(user, item, source, generator)
        return batch._replace(log_q=source.log_probability[batch.negative]) if self.log_q else batch

    def serves(self, items: UserItems) -> Tensor:
        """Return whether there are negatives for a user, bool [num_users]: none for who has all that are drawn."""
        return self._source(items).has_outside

    def _source(self, items: UserItems) -> ItemDistribution:
        if self._distribution is None or self._distribution.items is not items:
            self._distribution = self.distribution(items)
        return self._distribution

    def draw_shared(self, item: Tensor, source: ItemDistribution, generator: torch.Generator) -> Tensor:
        """Return the negatives that all rows share, int64 [negatives], of which users may have some.

        Args:
            item: The items of the rows, int64 [n].
            source: The probabilities of the items.
            generator: Source of the draws.
        """
        return source.draw(self.count or len(item), generator)

    def _with_own_negatives(
        self, user: Tensor, item: Tensor, source: ItemDistribution, generator: torch.Generator
    ) -> TopNBatch:
        shape = (len(user), self.count or len(user))
        uniform = torch.rand(shape, generator=generator, dtype=torch.float64, device=user.device)
        negative = source.draw_outside(user, uniform)
        return TopNBatch(user, item, negative, user.new_empty(3, 0), torch.empty(0, device=user.device))


class UniformNegatives(Negatives):
    """All items that the user does not have, each with the same probability.

    Args:
        count: Negatives of a row.
        shared: Whether all rows of a batch share their negatives, which is three to seven times as fast on a processor
            as each having its own.

    Raises:
        ValueError: If the count is below 1.
    """

    def __init__(self, count: int = 128, *, shared: bool = True) -> None:
        super().__init__(count, shared=shared, log_q=False)

    def distribution(self, items: UserItems) -> ItemDistribution:
        """Return the same probability for every item."""
        return UniformItems(items)


class PopularityNegatives(Negatives):
    """Items that the user does not have, with probabilities proportional to a power of their popularity.

    Mikolov et al., "Distributed Representations of Words and Phrases and their Compositionality", NeurIPS 2013
    (https://arxiv.org/abs/1310.4546) draw words so, with the power .75. The popularity of an item is the number of
    users who have it in training; items of nobody are not drawn.

    Args:
        count: Negatives of a row.
        power: Power of the popularity; 0 draws all items of training alike.
        shared: Whether all rows of a batch share their negatives, which is several times as fast as own ones of each.
        log_q: Whether losses correct a negative's score by the logarithm of its probability.

    Raises:
        ValueError: If the count is below 1 or the power below 0.
    """

    def __init__(self, count: int = 128, power: float = 0.75, *, shared: bool = True, log_q: bool = False) -> None:
        if power < 0:
            raise ValueError(f"the power {power} of popularity prefers what nobody chose; give 0 or more")
        super().__init__(count, shared=shared, log_q=log_q)
        self.power = power

    def distribution(self, items: UserItems) -> ItemDistribution:
        """Return probabilities proportional to the power of the popularity."""
        return PopularItems(items, self.power)


class InBatchNegatives(Negatives):
    """The items of the batch's rows, but those that the user has.

    They are drawn by their popularity, of which losses can correct the scores: Yi et al., "Sampling-Bias-Corrected
    Neural Modeling for Large Corpus Item Recommendations", RecSys 2019 (https://doi.org/10.1145/3298689.3346996). The
    positive item is left out of the correction, as Khrylchenko et al., "Correcting the LogQ Correction: Revisiting
    Sampled Softmax for Large-Scale Retrieval", RecSys 2025 (https://arxiv.org/abs/2507.09331) advise; rows do not get
    their weight, one minus the probability of the positive item.

    Args:
        log_q: Whether losses correct a negative's score by the logarithm of its probability.
    """

    def __init__(self, *, log_q: bool = True) -> None:
        super().__init__(None, shared=True, log_q=log_q)

    def distribution(self, items: UserItems) -> ItemDistribution:
        """Return probabilities proportional to the popularity."""
        return PopularItems(items, power=1.0)

    def draw_shared(self, item: Tensor, source: ItemDistribution, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return the items of the rows."""
        return item
