"""Top-N recommenders that score an item by its vector and the user's, trained on a listwise loss."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from datamodules.batches import TopNBatch
from datamodules.loader import epoch_generator, shared_seed
from lightning_modules.core.inference import InferenceGraph
from lightning_modules.layers.unit_vectors import unit_vectors
from lightning_modules.losses import ListwiseLoss, SampledSoftmax, ScoredBatch, SharedBatch
from lightning_modules.losses.listwise_loss import Scorer
from lightning_modules.losses.own_scores import own_scores, scores_of_vectors
from lightning_modules.recommenders.catalogue import CatalogueRecommender
from lightning_modules.recommenders.inference import VectorGraph

Similarity = Literal["dot", "cosine"]


def as_they_are(vectors: Tensor) -> Tensor:
    """Return the vectors."""
    return vectors


#: What is done to vectors before they are multiplied.
_AS_SCORED: Mapping[Similarity, Callable[[Tensor], Tensor]] = {"dot": as_they_are, "cosine": unit_vectors}
# Streams of the data module's numbers lie below.
_LOSS_STREAM = 16


class TopNRecommender(CatalogueRecommender):
    """A model whose score of an item is the product of its vector and the user's, trained on a listwise loss.

    The loss may be replaced at any time through ``self.loss``. Logs ``train/loss`` once an epoch and, where there is a
    logger, ``train/loss_step`` every ``log_every_n_steps`` steps.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        similarity: ``dot`` multiplies the vectors as they are, ``cosine`` normalises them before.
        loss: The training loss; None is the sampled softmax.
        options: The other arguments of :class:`CatalogueRecommender`.

    Raises:
        ValueError: If the similarity is another.
    """

    default_loss: ClassVar[type[ListwiseLoss]] = SampledSoftmax
    default_learning_rate: ClassVar[float] = 1e-2
    default_weight_decay: ClassVar[float] = 0.0

    loss: ListwiseLoss

    def __init__(
        self,
        num_users: int,
        num_items: int,
        *,
        similarity: Similarity = "cosine",
        loss: ListwiseLoss | None = None,
        **options: Any,
    ) -> None:
        super().__init__(num_users, num_items, **options)
        if similarity not in _AS_SCORED:
            raise ValueError(f"similarity is {' or '.join(_AS_SCORED)}, got {similarity!r}")
        self.as_scored = _AS_SCORED[similarity]
        self.keep_objects(loss=self.default_loss() if loss is None else loss)

    @abstractmethod
    def forward(self, user: Tensor | None, item: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return vectors of users and items, as they are scored.

        Args:
            user: Indices, int64 [n]; None for all.
            item: Indices, int64 [m]; None for all.

        Returns:
            Float [n, d] and [m, d].
        """

    def scorer(self) -> Scorer:
        """Return what scores the catalogue, with the vectors of this moment."""
        users, items = self(None, None)
        return lambda user: users[user] @ items.T

    def inference_graph(self) -> InferenceGraph:
        """Return what scores the catalogue, with the vectors of this moment as constants."""
        return VectorGraph(*self(None, None))

    def scored(self, batch: TopNBatch) -> ScoredBatch:
        """Return the scores of a training batch."""
        if batch.negative.dim() == 1:
            return self.shared(batch).scored()
        # Every item's vector is made once, or that of every negative.
        of_rows = self._with_all_vectors if self.num_items <= batch.negative.numel() else self._with_own_vectors
        users, items, negative = of_rows(batch)
        return ScoredBatch(batch.user, batch.item, (users * items).sum(dim=1), negative, batch.log_q, users, items)

    def _with_all_vectors(self, batch: TopNBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the vectors of users and items, and the scores of negatives, from the vectors of all items."""
        users, catalogue = self(batch.user, None)
        return users, catalogue[batch.item], own_scores(users, catalogue, batch.negative)

    def _with_own_vectors(self, batch: TopNBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the vectors of users and items, and the scores of negatives, from the vectors of the rows alone."""
        (users, items), negatives = self._vectors(batch)
        return users, items, scores_of_vectors(users, negatives.view(*batch.negative.shape, -1))

    def shared(self, batch: TopNBatch) -> SharedBatch:
        """Return a training batch whose rows share their negatives, which are left to the loss to score."""
        (users, items), negatives = self._vectors(batch)
        positive = (users * items).sum(dim=1)
        return SharedBatch(batch.user, batch.item, positive, negatives, batch.replaced, batch.log_q, users, items)

    def _vectors(self, batch: TopNBatch) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Return the vectors of users and items, float [n, d], and of the negatives, one after another."""
        users, items = self(batch.user, torch.cat([batch.item, batch.negative.flatten()]))
        size = len(batch.item)
        positives, negatives = items.split([size, len(items) - size])
        return (users, positives), negatives

    def training_step(self, batch: TopNBatch) -> Tensor:
        """Return the mean loss of the batch; the epoch's sum stays on the device, so that no step waits for it."""
        is_shared = batch.negative.dim() == 1
        losses = self.loss.of_shared(self.shared(batch)) if is_shared else self.loss.of_batch(self.scored(batch))
        loss = losses.mean()
        self.record_loss(loss)
        return loss

    def on_fit_start(self) -> None:
        """Refuse a loss that does not fit, and show it the training rows."""
        super().on_fit_start()
        data = self.trainer.datamodule  # type: ignore[attr-defined]  # set outside the Trainer's class
        self.loss.check_data(data)
        if data is not None:
            items = self.training_items()
            self.loss.prepare(items.user, items.item, self.num_users, self.num_items)

    def on_train_epoch_start(self) -> None:
        """Let the loss renew what it keeps of the users."""
        generator = epoch_generator(shared_seed(self._trainer), self.current_epoch, _LOSS_STREAM)
        self.loss.start_epoch(self.current_epoch, self._scores_of_epoch(), generator)

    def _scores_of_epoch(self) -> Scorer:
        """Return what scores the catalogue without gradient; vectors are computed once, if it is called at all."""
        scorer = cache(self.scorer)

        @torch.no_grad()
        def scores(user: Tensor) -> Tensor:
            return scorer()(user)

        return scores

    def training_state(self) -> dict[str, Any]:
        """Return what a resumed training needs of the epoch and of the loss."""
        return {**super().training_state(), "loss": self.loss.training_state()}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Go on with the epoch's mean loss and what the loss has kept."""
        super().load_training_state(state)
        self.loss.load_training_state(state["loss"])
