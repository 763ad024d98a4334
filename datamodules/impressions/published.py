"""The base of data sets that are read in the layout in which they were published."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from datamodules.impressions.datamodule import ImpressionsDataModule
from datamodules.impressions.encoding import Impressions


class PublishedImpressions(ImpressionsDataModule, ABC):
    """Impressions whose columns and tasks the data set itself decides; the other options are those of every data set.

    Args:
        root: Folder of the tables.
        layout: What the data set decides: other arguments of :class:`ImpressionsDataModule`, by name.
        tail_shares: For some fields the share of training rows whose categories, the rarest, share one index.
        category_mapper: JSON file of a category mapper to use; None fits one.
        batch_size: Training rows a batch and process.
        eval_batch_size: Rows a batch and process in validation, test and prediction.
        seed: Seed of the training order; None takes torch's seed when training is set up.

    Raises:
        FileNotFoundError: When the data is first needed, if a table is missing.
        ValueError: If an option cannot be used; when the data is first needed, if a table cannot be used, or a split
            is empty.
    """

    def __init__(
        self,
        root: str,
        layout: Mapping[str, Any],
        *,
        tail_shares: dict[str, float] | None = None,
        category_mapper: str | None = None,
        batch_size: int = 2048,
        eval_batch_size: int = 16384,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            root,
            tail_shares=tail_shares,
            category_mapper=category_mapper,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            seed=seed,
            **layout,
        )

    @abstractmethod
    def read_impressions(self) -> Impressions:
        """Read the published tables and divide the rows."""
