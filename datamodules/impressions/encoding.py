"""Tables of impressions turned into tensors, fitted on the training rows alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from datamodules.batches import ImpressionBatch
from datamodules.impressions.category_mapper import CategoryMapper
from datamodules.impressions.groups import Groups, groups_of, original_ids, sessions_of_users
from datamodules.impressions.splits import SPLITS, RowNumbers
from datamodules.impressions.standardisation import Standardizer
from datamodules.impressions.tasks import Tasks, task_labels, warn_of_broken_funnels, warn_of_single_labels
from datamodules.tables.categories import codes_of
from datamodules.tables.splits import refuse_empty_splits
from datamodules.tables.vocabulary import count_unknown, warn_of_unknown
from lightning_modules.utilities.progress import working


class Impressions(NamedTuple):
    """One table of impressions and the numbers of the rows of "train", "validation" and "test".

    Attributes:
        table: Fields and keys as categories, features and labels as float32.
        rows: Row numbers, int64 [n] for each split, in the order that the split is to have.
        fields: Columns of the categorical fields.
        features: Columns of the numerical features.
        session: Column of the session ids, if there are sessions.
        user: Column of the user ids, if there are users.
        item: Column of the item ids, if there are items.
    """

    table: pd.DataFrame
    rows: RowNumbers
    fields: Sequence[str]
    features: Sequence[str]
    session: str | None = None
    user: str | None = None
    item: str | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """Original ids of the rows: ids by number for sessions and users, and the item of every test row.

    Attributes:
        ids: Ids by the numbers of the rows' groups for "session" and "user", where the data has them.
        test_items: Item of every test row, where the data has items.
    """

    ids: Mapping[str, pd.Index]
    test_items: pd.Series | None

    def decode(self, batch: ImpressionBatch) -> pd.DataFrame:
        """Return the ids of a batch in columns of their names; the item only of test rows; else the row's number."""
        numbers = {"session": batch.session, "user": batch.user}
        columns = {name: ids[numbers[name].cpu().numpy()] for name, ids in self.ids.items()}
        result = pd.DataFrame(columns, index=range(len(batch.row)))
        if self.test_items is not None:
            result["item"] = self.test_items.iloc[batch.row.cpu().numpy()].to_numpy()
        return result if len(result.columns) else result.assign(row=batch.row.cpu().numpy())


class EncodedImpressions(NamedTuple):
    """What was fitted on the training rows, and the rows of every split under it.

    Attributes:
        mapper: Indices of the categories.
        standardizer: Scales of the numerical features.
        keys: Original ids.
        rows: Rows for each of "train", "validation" and "test".
    """

    mapper: CategoryMapper
    standardizer: Standardizer
    keys: Keys
    rows: dict[str, ImpressionBatch]


def encode(
    impressions: Impressions,
    tasks: Tasks,
    source: object,
    *,
    funnel: bool,
    tail_shares: Mapping[str, float] | None = None,
    mapper: CategoryMapper | None = None,
) -> EncodedImpressions:
    """Fit categories and scales on the training rows and encode all rows; doubtful data are named in warnings.

    Args:
        impressions: The rows.
        tasks: Label columns of every task.
        source: What to call the data set in messages.
        funnel: Whether every task presupposes the one before.
        tail_shares: As for ``CategoryMapper.fit``.
        mapper: Fitted before; None fits one.

    Raises:
        ValueError: If a split has no rows, or a given mapper has other fields.
    """
    table, train = impressions.table, impressions.rows["train"]
    refuse_empty_splits({name: len(rows) for name, rows in impressions.rows.items()}, source)
    warn_of_broken_funnels(table, tasks, funnel=funnel, source=source)
    if mapper is None:
        with working("counting categories"):
            mapper = CategoryMapper.fit(table, impressions.fields, train, tail_shares=tail_shares)
    _refuse_other_fields(mapper, impressions.fields, source)
    standardizer = Standardizer.fit(table, impressions.features, train)
    groups = _groups(impressions, source)
    with working("numbering categories"):
        rows = _encoded(impressions, groups, tasks, mapper, standardizer)
    warn_of_single_labels({name: batch.label for name, batch in rows.items()}, list(tasks), source)
    _report_unknown(rows, mapper, source)
    return EncodedImpressions(mapper, standardizer, _keys(impressions, groups), rows)


def _refuse_other_fields(mapper: CategoryMapper, fields: Sequence[str], source: object) -> None:
    if mapper.fields != tuple(fields):
        raise ValueError(
            f"the category mapper has the fields {', '.join(mapper.fields)}, but those of {source} are "
            f"{', '.join(fields)}. Name the same fields in the same order, or leave category_mapper out to fit one"
        )


def _encoded(
    impressions: Impressions,
    groups: Mapping[str, Groups],
    tasks: Tasks,
    mapper: CategoryMapper,
    standardizer: Standardizer,
) -> dict[str, ImpressionBatch]:
    table = impressions.table
    # Where there is only one of them it serves as both.
    session, user = (groups.get(name, groups.get(other)) for name, other in (("session", "user"), ("user", "session")))
    categorical = mapper.encode_parts(table, impressions.rows)
    return {
        name: ImpressionBatch(
            categorical[name],
            standardizer.encode(table, rows),
            task_labels(table, tasks, rows),
            _group_numbers(session, rows),
            _group_numbers(user, rows),
            torch.arange(len(rows)),
        )
        for name, rows in impressions.rows.items()
    }


def _groups(impressions: Impressions, source: object) -> dict[str, Groups]:
    """Return the groups of the rows for "session" and "user", where the data has them."""
    columns = {"session": impressions.session, "user": impressions.user}
    groups = {name: groups_of(impressions.table[column]) for name, column in columns.items() if column}
    if len(groups) == len(columns):
        groups["session"] = sessions_of_users(groups["session"], groups["user"], source)
    return groups


def _group_numbers(group: Groups | None, rows: np.ndarray) -> Tensor:
    # Without groups every row is one of its own.
    return torch.from_numpy(np.asarray(rows if group is None else group.numbers[rows], dtype=np.int64))


def _keys(impressions: Impressions, groups: Mapping[str, Groups]) -> Keys:
    ids, item = {name: group.ids for name, group in groups.items()}, impressions.item
    if item is None:
        return Keys(ids, None)
    codes = codes_of(impressions.table[item])[impressions.rows["test"]]
    return Keys(ids, pd.Series(original_ids(impressions.table[item].cat.categories)[codes]))


def _report_unknown(rows: Mapping[str, ImpressionBatch], mapper: CategoryMapper, source: object) -> None:
    for name in SPLITS[1:]:
        size = len(rows[name].row)
        counts = {field: count_unknown(rows[name].categorical[:, place]) for place, field in enumerate(mapper.fields)}
        listed = ", ".join(f"{field} {count / size:.1%}" for field, count in counts.items() if count)
        if listed:
            rank_zero_info(f"Categories missing or without training rows have the index 0 in {name} rows: {listed}")
        # A field without any category was warned of when the categories were counted.
        numbered = {field: counts[field] for field, known in zip(mapper.fields, mapper.sizes, strict=True) if known > 1}
        warn_of_unknown(name, numbered, size, source)
