"""How the rows of implicit feedback become training, validation and test rows, by the options of a data module."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd
from torch import Tensor

from datamodules.batches import FeedbackRows
from datamodules.implicit.splits import by_time, hold_out_of_each, last_of_each, ratio_of_each
from datamodules.tables.splits import RATIOS, Splits, refuse_empty_splits, refuse_without_effect

#: The share of each user's training rows that published results validate on.
SHARE = 0.1


@dataclass(frozen=True)
class Division:
    """Rules of a division.

    Attributes:
        split: How a single table is split.
        ratios: Shares of training, validation and test rows.
        validation_share: Share of each user's training rows for validation, where a published split has none.
        seed: Seed of what is split at random.
        has_time: Whether a single table's rows are in order of time.
    """

    split: Literal["ratio", "time", "leave_one_out"]
    ratios: tuple[float, float, float]
    validation_share: float
    seed: int
    has_time: bool

    def refuse_idle(self, tables: Mapping[str, pd.DataFrame], source: object) -> None:
        """Refuse rules that change nothing, and those that lack a column.

        Args:
            tables: The tables of the splits that there are.
            source: What to call the data set in messages.

        Raises:
            ValueError: If there is one.
        """
        of_table = {"split": self.split != "ratio", "ratios": tuple(self.ratios) != RATIOS}
        share = {"validation_share": self.validation_share != SHARE}
        seed = {"split_seed": self.seed != 0}
        if "test" in tables:
            refuse_without_effect({"time_column": self.has_time, **of_table}, f"{source} holds a published split")
            if "validation" in tables:
                refuse_without_effect({**share, **seed}, f"{source} holds validation rows")
            return
        refuse_without_effect(share, f"{source} is a single table, of which ratios or split take the validation rows")
        if self.split == "leave_one_out":
            ratios = {"ratios": of_table["ratios"]}
            refuse_without_effect({**ratios, **seed}, "split leave_one_out takes the last rows of each user")
        if self.split == "time" and not self.has_time:
            raise ValueError("split time needs a time_column, which orders the rows; name it, or choose another split")
        if self.has_time:
            refuse_without_effect(seed, "time divides the rows")

    def of_table(self, rows: FeedbackRows, source: object) -> dict[str, FeedbackRows]:
        """Divide the rows of a single table.

        Raises:
            ValueError: If a part is left empty.
        """
        part = self._parts(rows.user)
        result = {
            name: FeedbackRows(*(column[part == number] for column in rows))
            for number, name in enumerate(Splits._fields)
        }
        refuse_empty_splits({name: len(each.user) for name, each in result.items()}, source)
        return result

    def with_validation(self, rows: Mapping[str, FeedbackRows]) -> dict[str, FeedbackRows]:
        """Return the rows of a published split, with validation rows taken from those of training if it has none.

        Raises:
            ValueError: If the share is not between 0 and 1, or every user has a single training row.
        """
        if "validation" in rows:
            return dict(rows)
        kept, held_out = hold_out_of_each(rows["train"], self.validation_share, self.seed)
        return {"train": kept, "validation": held_out, "test": rows["test"]}

    def _parts(self, user: Tensor) -> Tensor:
        if self.split == "leave_one_out":
            return last_of_each(user)
        if self.split == "time":
            return by_time(len(user), self.ratios)
        return ratio_of_each(user, self.ratios, None if self.has_time else self.seed)
