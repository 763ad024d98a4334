"""The labels of a batch, whatever kind of batch a data module hands out."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def label_of(batch: Any) -> Tensor:
    """Return the labels of a batch: its attribute or entry ``label``, or the second of a pair ``(inputs, label)``.

    Returns:
        float32, shaped like an attribute, or [n].

    Raises:
        ValueError: If it has none, or is a sequence of which nothing says where its labels are.
    """
    if hasattr(batch, "label"):
        own: Tensor = batch.label
        return own.float()
    label = batch.get("label") if isinstance(batch, Mapping) else batch[1] if _is_pair(batch) else None
    if not isinstance(label, Tensor):
        raise ValueError(
            f"the labels of a batch are not known, which is a {_kind(batch)}: let the data module's batches be pairs "
            "(inputs, label), where inputs may be a tuple, or have an attribute or entry 'label'"
        )
    return label.float().reshape(len(label))


def refuse_other_labels(label: Tensor) -> None:
    """Refuse labels that rank nothing.

    Raises:
        ValueError: If one is neither 0 nor 1.
    """
    others = label[(label != 0) & (label != 1)]
    if len(others):
        raise ValueError(
            f"{len(others)} of {label.numel()} labels are neither 0 nor 1, such as {float(others[0]):g}, and an AUC is "
            "of labels that are: correct or leave out these rows where the data module makes its validation and test "
            "rows"
        )


def _is_pair(batch: Any) -> bool:
    return isinstance(batch, list | tuple) and len(batch) == 2


def _kind(batch: Any) -> str:
    name = type(batch).__name__
    return f"{name} of {len(batch)}" if isinstance(batch, list | tuple) else name
