"""Sessions of impressions as transitions, for offline reinforcement learning."""

import pandas as pd
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from datamodules.batches import ImpressionBatch
from datamodules.fingerprint import Fingerprint
from datamodules.impressions.datamodule import ImpressionsDataModule
from datamodules.in_memory import InMemoryDataModule
from datamodules.loader import BatchLoader
from datamodules.sessions.transitions import LoggedTransition, logged_transitions


class SessionsDataModule(InMemoryDataModule[ImpressionBatch]):
    """Trains on transitions, each row with the next of its session; everything else is that of the impressions.

    Validation, test and prediction go over the impressions themselves. Numerical features are standardised by them.

    Args:
        impressions: Any impressions; their own ``batch_size`` is not used.
        batch_size: Transitions a training batch and process.
        seed: Seed of the training order; None takes that of the impressions, or else torch's when training is set up.

    Raises:
        ValueError: When the data is first needed, if no training session has two rows.
    """

    def __init__(self, impressions: ImpressionsDataModule, *, batch_size: int = 2048, seed: int | None = None) -> None:
        seed = impressions.seed if seed is None else seed
        super().__init__(batch_size=batch_size, eval_batch_size=impressions.eval_batch_size, seed=seed)
        self.impressions = impressions

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, in the order of the labels."""
        return self.impressions.tasks

    @property
    def field_sizes(self) -> tuple[int, ...]:
        """Number of indices of each categorical field, that of unknown categories included."""
        return self.impressions.field_sizes

    @property
    def num_numerical(self) -> int:
        """Number of numerical features."""
        return self.impressions.num_numerical

    def prepare_data(self) -> None:
        """Let the impressions prepare what they need."""
        self.impressions.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Set up the impressions, which warn of doubtful data before training, and set the seed."""
        self.impressions.trainer = self.trainer
        self.impressions.setup(stage)
        super().setup(stage)

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the impressions, by which critics are matched with a model of the same data."""
        return self.impressions.fingerprint()

    def load_rows(self) -> dict[str, ImpressionBatch]:
        """Return the rows of the impressions.

        Raises:
            ValueError: If no training session has two rows.
        """
        self.impressions.setup()
        _check_lengths(self.impressions.rows["train"].session)
        return self.impressions.rows

    def train_dataloader(self) -> BatchLoader[LoggedTransition]:
        """Return the transitions of the training rows, in another order every epoch."""
        return BatchLoader(logged_transitions(self._rows("train")), self.batch_size, **self._order())

    def predict_dataloader(self) -> BatchLoader[ImpressionBatch]:
        """Return the test rows in their order."""
        return self.test_dataloader()

    def decode(self, batch: ImpressionBatch) -> pd.DataFrame:
        """Return the original ids of a batch of test rows, as the impressions do."""
        return self.impressions.decode(batch)


def _check_lengths(session: Tensor) -> None:
    lengths = session.unique(return_counts=True)[1]
    alone = int((lengths == 1).sum())
    if alone == len(lengths):
        raise ValueError(
            f"each of the {alone} training sessions has one row only, so that nothing follows from an action; name a "
            "session_column, or for want of one a user_column, whose values several rows share"
        )
    if alone:
        rank_zero_info(
            f"{alone} of {len(lengths)} training sessions ({alone / len(lengths):.1%}) have one row only: nothing "
            "follows from an action there"
        )
