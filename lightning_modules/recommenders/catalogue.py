"""What all models share that rank the whole catalogue for a user: metrics, evaluation, recommendations."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor

from datamodules.batches import CatalogueBatch, RecommendationBatch
from datamodules.implicit.user_items import UserItems
from lightning_modules.core.trained_module import TrainedModule
from lightning_modules.losses import Prediction
from lightning_modules.losses.listwise_loss import Scorer
from lightning_modules.recommenders.top_n_metrics import TopNMetrics
from lightning_modules.statistics.ranking import scores_of
from lightning_modules.statistics.top_n import METRICS, top_items, top_n_values


class CatalogueRecommender(TrainedModule):
    """A model that ranks the whole catalogue for a user.

    ``val/...`` and ``test/...`` hold every metric of :class:`TopNMetrics`. The scores of a block of users against all
    items are the largest thing in memory; the data module's ``eval_batch_size`` is the size of the block.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        cutoffs: Lengths of the recommendations that are measured; the best epoch is that of the highest NDCG at the
            largest.
        optimizer: Takes the parameters, returns the optimizer; None is Adam with the model's usual settings.

    Attributes:
        top_k: Number of items that ``predict`` recommends; the largest cut-off unless it is set.

    Raises:
        ValueError: If there are no users or items, or no cut-offs.
    """

    gives: ClassVar[Prediction] = "scores"

    metrics: TopNMetrics

    def __init__(
        self,
        num_users: int,
        num_items: int,
        *,
        cutoffs: Sequence[int] = (5, 10, 20),
        optimizer: OptimizerCallable | None = None,
    ) -> None:
        super().__init__(optimizer)
        if min(num_users, num_items) < 1:
            raise ValueError(f"a recommender needs users and items, got num_users={num_users}, num_items={num_items}")
        self.num_users, self.num_items = num_users, num_items
        self.metrics = TopNMetrics(num_items, cutoffs)
        self.top_k = max(cutoffs)
        self.validation_metric = f"val/ndcg@{self.top_k}"
        self._scorer: Scorer | None = None

    @abstractmethod
    def scorer(self) -> Scorer:
        """Return what scores the catalogue, with the weights of this moment."""

    def setup(self, stage: str) -> None:  # noqa: ARG002 (Lightning's signature)
        """Let the metrics know how popular the items are; without a data module they do without."""
        if self.trainer.datamodule is not None:  # type: ignore[attr-defined]  # set outside the Trainer's class
            self.metrics.training_users = torch.bincount(self.training_items().item, minlength=self.num_items)

    def training_items(self) -> UserItems:
        """Return the items that every user has in training, on the model's device.

        Raises:
            MisconfigurationException: If the Trainer has no data module that gives them.
        """
        data = self.trainer.datamodule  # type: ignore[attr-defined]  # set outside the Trainer's class
        if not hasattr(data, "items_of_training"):
            given = "no data module" if data is None else f"{type(data).__name__}, without items_of_training()"
            raise MisconfigurationException(
                f"{type(self).__name__} needs the training items of every user, and the Trainer has {given}; use it "
                "with ImplicitFeedback"
            )
        items: UserItems = data.items_of_training()
        return items.to(self.device)

    def validation_step(self, batch: CatalogueBatch) -> None:
        """Add a block of users to the validation metrics."""
        self.metrics.update(self._scores(batch.user), batch)

    def test_step(self, batch: CatalogueBatch) -> None:
        """Add a block of users to the test metrics."""
        self.metrics.update(self._scores(batch.user), batch)

    def predict_step(self, batch: CatalogueBatch) -> RecommendationBatch:
        """Return the best ``top_k`` items of every user that are not seen, fewer where there are not so many."""
        score, item = top_items(scores_of(self._scores(batch.user)), batch.seen, self.top_k)
        rank = torch.arange(1, score.shape[1] + 1, device=score.device)
        columns = batch.user.unsqueeze(1), item, rank, score
        # What is no number is shown, not hidden.
        kept = score != -torch.inf
        return RecommendationBatch(*(column.expand_as(score)[kept] for column in columns))

    def user_values(self, batch: CatalogueBatch, metric: str) -> Tensor:
        """Return a metric of every user, float [n]; nan for those without relevant items.

        Args:
            batch: The users.
            metric: One of the means over users of :class:`TopNMetrics`, such as ``ndcg@20``, at any cut-off.

        Raises:
            ValueError: If there is no such metric.
        """
        name, _, cutoff = metric.partition("@")
        if name not in METRICS or not cutoff.isdecimal() or int(cutoff) < 1:
            raise ValueError(
                f"'{metric}' is no mean over users; give one of {', '.join(METRICS)} and a cut-off: ndcg@20"
            )
        scores = scores_of(self._scores(batch.user))
        _, value = top_n_values(scores, batch.seen, batch.relevant, [int(cutoff)])
        return value[:, METRICS.index(name), 0]

    def _scores(self, user: Tensor) -> Tensor:
        # Half precision would tie scores that differ.
        with torch.autocast(user.device.type, enabled=False):
            scorer = self._scorer or self.scorer()
            return scorer(user)

    def on_validation_epoch_start(self) -> None:
        """Compute once what scores the catalogue."""
        super().on_validation_epoch_start()
        self._scorer = self.scorer()

    def on_test_epoch_start(self) -> None:
        """Compute once what scores the catalogue."""
        super().on_test_epoch_start()
        self._scorer = self.scorer()

    def on_predict_epoch_start(self) -> None:
        """Compute once what scores the catalogue."""
        self._scorer = self.scorer()

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the validation split."""
        super().on_validation_epoch_end()
        self._scorer = None

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test split."""
        super().on_test_epoch_end()
        self._scorer = None

    def on_predict_epoch_end(self) -> None:
        """Forget what scored the catalogue, which the next training step outdates."""
        self._scorer = None
