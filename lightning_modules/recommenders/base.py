"""What every recommender shares: its constructor, steps and metrics."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor, nn

from datamodules.batches import Batch, PairBatch
from lightning_modules.core.inference import InferenceGraph
from lightning_modules.core.trained_module import TrainedModule
from lightning_modules.losses import BCE, Loss
from lightning_modules.recommenders.inference import PairGraph
from lightning_modules.recommenders.metrics import RecommenderMetrics
from lightning_modules.recommenders.top_n_metrics import TopNMetrics
from lightning_modules.utilities.precision import probability_of

#: Pairs of a user and an item that are scored at a time when a catalogue is ranked.
PAIRS = 2**17


class Recommender(TrainedModule):
    """A scorer of user-item pairs, trained on a loss object that may be replaced at any time through ``self.loss``.

    Logs ``train/loss`` once an epoch and, where there is a logger, ``train/loss_step`` every ``log_every_n_steps``
    steps; ``val/...`` and ``test/...`` hold every metric of :class:`RecommenderMetrics` and, where there are cut-offs,
    of :class:`TopNMetrics`.

    Args:
        num_users: Number of user indices, that of unknown users included.
        num_items: Number of item indices, that of unknown items included.
        optimizer: Takes the parameters, returns the optimizer; weight decay is set there and nowhere else. None is
            Adam with a learning rate of 2e-3 and a weight decay of 1e-4.
        loss: The training loss; None is the model's default.
        threshold: The probability above which a prediction counts as positive in thresholded metrics.
        cutoffs: Lengths of recommendations out of the whole catalogue that are measured too, as by top-N models, where
            the data module offers catalogues; None measures none.

    Raises:
        ValueError: If there are no users or items, the threshold lies outside (0, 1), or a cut-off is below 1.
    """

    #: Whether the model trains on pairs of a positive and a negative item; data modules choose their loader by it.
    trains_on_pairs: ClassVar[bool] = False
    default_loss: ClassVar[type[Loss]] = BCE

    loss: Loss
    metrics: RecommenderMetrics

    def __init__(
        self,
        num_users: int,
        num_items: int,
        *,
        optimizer: OptimizerCallable | None = None,
        loss: Loss | None = None,
        threshold: float = 0.5,
        cutoffs: Sequence[int] | None = None,
    ) -> None:
        super().__init__(optimizer)
        if min(num_users, num_items) < 1:
            raise ValueError(f"a recommender needs users and items, got num_users={num_users}, num_items={num_items}")
        self.keep_objects(loss=self.default_loss() if loss is None else loss)
        self.metrics = RecommenderMetrics(threshold)
        self.num_items = num_items
        self.catalogue_metrics = None if cutoffs is None else TopNMetrics(num_items - 1, cutoffs)

    def setup(self, stage: str) -> None:  # noqa: ARG002 (Lightning's signature)
        """Refuse data without labels, and without catalogues if these are to be ranked.

        Raises:
            MisconfigurationException: If the data module is one for models that rank whole catalogues, or one without
                catalogues although there are cut-offs.
        """
        data = self.trainer.datamodule  # type: ignore[attr-defined]  # set outside the Trainer's class
        if hasattr(data, "items_of_training"):
            raise MisconfigurationException(
                f"{type(self).__name__} trains on rows with labels, and {type(data).__name__} has items that users "
                "chose and no labels; use it with InteractionsDataModule, or a model that ranks the catalogue, such as "
                "MF, with these data"
            )
        if self.catalogue_metrics is not None and not hasattr(data, "catalogues"):
            given = "no data module" if data is None else f"{type(data).__name__}, without catalogues(split)"
            raise MisconfigurationException(
                f"{type(self).__name__} is to rank catalogues (cutoffs {list(self.catalogue_metrics.cutoffs)}), and "
                f"the Trainer has {given}; use it with InteractionsDataModule, or leave cutoffs out"
            )

    @abstractmethod
    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Return the logit of every row: ``user``, ``item`` int64 [n] -> float [n]."""

    def logit_step(self, batch: Batch) -> Tensor:
        """Return the logit of every row, by which it is ranked, shape [n]."""
        logit: Tensor = self(batch.user, batch.item)
        return logit

    def sample_loss(self, batch: Any) -> Tensor:
        """Return the training loss of every row of the batch, shape [n]."""
        return self.loss.from_logit(self.logit_step(batch), batch.label)

    def training_step(self, batch: Batch | PairBatch) -> Tensor:
        """Return the mean loss of the batch; the epoch's sum stays on the device, so that no step waits for it."""
        loss = self.sample_loss(batch).mean()
        self.record_loss(loss)
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Add the batch to the validation metrics."""
        self.metrics.update(self.logit_step(batch), batch.label, batch.user)

    def test_step(self, batch: Batch) -> None:
        """Add the batch to the test metrics."""
        self.metrics.update(self.logit_step(batch), batch.label, batch.user)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the validation split, and of its catalogues where there are cut-offs."""
        super().on_validation_epoch_end()
        if not self.trainer.sanity_checking:
            self._rank_catalogues("validation", "val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test split, and of its catalogues where there are cut-offs."""
        super().on_test_epoch_end()
        self._rank_catalogues("test", "test")

    def _rank_catalogues(self, split: str, prefix: str) -> None:
        metrics = self.catalogue_metrics
        if metrics is None:
            return
        loader = self.trainer.datamodule.catalogues(split)  # type: ignore[attr-defined]  # as for `setup`
        metrics.reset()
        metrics.training_users = torch.bincount(loader.seen.item, minlength=self.num_items - 1).to(self.device)
        for batch in loader:
            users = self.transfer_batch_to_device(batch, self.device, 0)
            metrics.update(self.catalogue_logits(users.user)[:, 1:], users)
        self._log_metrics(prefix, metrics)

    def catalogue_logits(self, user: Tensor) -> Tensor:
        """Return the logits of all items for some users, that of unknown items first.

        A model may override it with fewer operations; what overrides ``forward`` has to override both then.

        Args:
            user: Index of the user, int64 [n].

        Returns:
            Float [n, num_items].
        """
        item = torch.arange(self.num_items, device=user.device)
        blocks = user.split(max(1, PAIRS // self.num_items))
        pairs = ((block.repeat_interleave(self.num_items), item.repeat(len(block))) for block in blocks)
        return torch.cat([self(*pair) for pair in pairs]).view(len(user), self.num_items)

    def predict_step(self, batch: Batch) -> Tensor:
        """Return the probability of label 1 for every row, shape [n]."""
        return probability_of(self.logit_step(batch))

    def inference_graph(self) -> InferenceGraph:
        """Return what gives pairs of a user and an item a probability and a logit, for other programs."""
        return PairGraph(self, self.hparams["num_users"], self.hparams["num_items"])


def normal_embedding(
    num_embeddings: int, embedding_dim: int, *, std: float, kind: type[nn.Embedding] = nn.Embedding
) -> nn.Embedding:
    """Return an embedding table of a kind whose weights are drawn from N(0, std^2).

    Raises:
        ValueError: If ``std`` is negative.
    """
    if std < 0:
        raise ValueError(f"init_std is a standard deviation and cannot be negative, got {std}")
    table = kind(num_embeddings, embedding_dim)
    nn.init.normal_(table.weight, std=std)
    return table
