"""MovieLens ratings as they are published."""

from pathlib import Path
from typing import Literal

from datamodules.interactions.datamodule import InteractionsDataModule
from datamodules.interactions.reading import exact_integer_ids, read_interactions
from datamodules.tables import missing_file
from datamodules.tables.files import ZipArchive, fetch
from datamodules.tables.splits import Splits

_COLUMNS = ("user", "item", "rating", "time")
_RATINGS = {"100k": "u.data", "1m": "ratings.dat"}

ARCHIVES: dict[str, ZipArchive] = {
    "100k": ZipArchive(
        url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        md5="0e33842e24a9c977be4e0107933c0723",
        files={"ml-100k/u.data": "u.data", "ml-100k/README": "README"},
    ),
    "1m": ZipArchive(
        url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        md5="c4d9eecfca2ab87c1945afe126590906",
        files={"ml-1m/ratings.dat": "ratings.dat", "ml-1m/README": "README"},
    ),
}


class MovieLens(InteractionsDataModule):
    """MovieLens 100K or 1M, with the label 1 for ratings above the threshold.

    Harper and Konstan, "The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015,
    https://doi.org/10.1145/2827872. The README that comes with the ratings says what they may be used for.

    Args:
        root: Folder with ``u.data`` (100K) or ``ratings.dat`` (1M).
        version: The release to download, and the one to use where the folder holds both.
        download: Whether to fetch the release if the folder does not hold it.
        batch_size: Training rows, or pairs, a batch and process.
        eval_batch_size: Rows a batch and process in validation, test and prediction.
        seed: Seed of the training order and of drawn negatives; None takes torch's seed when training is set up.
        rating_threshold: The rating above which the label is 1.
        split: Each user's last positives held out, or by time and ``ratios``.
        ratios: Shares of training, validation and test rows.

    Raises:
        FileNotFoundError: When the data is first needed, if it is missing or cannot be fetched.
        ValueError: When the data is first needed, if it cannot be used or is not what was published.
    """

    def __init__(
        self,
        root: str,
        *,
        version: Literal["100k", "1m"] = "100k",
        download: bool = False,
        batch_size: int = 1024,
        eval_batch_size: int = 16384,
        seed: int | None = None,
        rating_threshold: float = 3.0,
        split: Literal["leave_one_out", "ratio"] = "leave_one_out",
        ratios: tuple[float, float, float] = (0.8, 0.1, 0.1),
    ) -> None:
        super().__init__(
            root,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            seed=seed,
            rating_threshold=rating_threshold,
            split=split,
            ratios=ratios,
        )
        self.version = version
        self.download = download

    def prepare_data(self) -> None:
        """Fetch the release if that is wanted and its ratings are not there."""
        if self.download and not (self.root / _RATINGS[self.version]).is_file():
            fetch(ARCHIVES[self.version], self.root)

    def read_splits(self) -> Splits:
        """Return the split ratings."""
        columns = dict(zip(_COLUMNS, _COLUMNS, strict=True))
        table = read_interactions(self._ratings(), columns, threshold=self.rating_threshold, header=_COLUMNS)
        return self.split_table(exact_integer_ids([table])[0])

    def _ratings(self) -> Path:
        wanted = self.root / _RATINGS[self.version]
        for path in (wanted, *(self.root / name for name in _RATINGS.values())):
            if path.is_file():
                return path
        raise FileNotFoundError(f"{missing_file(wanted)}, or set download to true")
