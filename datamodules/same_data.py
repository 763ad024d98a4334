"""Refuses to resume with other data than a study or training was begun with, by their fingerprints."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from pytorch_lightning.utilities import rank_zero_warn

from datamodules.fingerprint import Fingerprint
from lightning_modules.utilities.messages import listed

_SHOWN = 5


@runtime_checkable
class HasFingerprint(Protocol):
    """A data module with a fingerprint of its rows."""

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the rows."""


def refuse_other_rows(before: Any, datamodule: object, what: str, remedy: str) -> None:
    """Refuse rows that differ in any way, or warn that they cannot be checked.

    Args:
        before: The fingerprint of the rows before, as plain data; None if there is none.
        datamodule: What has the rows of now.
        what: What was begun with the rows before, such as ``'runs/search'``.
        remedy: What to do if the data are not to be restored.

    Raises:
        ValueError: If a row, the order, the split, an id or a category differs, or the fingerprint is none.
    """
    if not isinstance(datamodule, HasFingerprint):
        say_unchecked(what, f"{type(datamodule).__name__} has no fingerprint()")
    elif before is None:
        say_unchecked(what, "it holds no fingerprint of them")
    else:
        _refuse(_read(before, what).differences(datamodule.fingerprint()), what, remedy)


def refuse_other_names(before: Any, datamodule: object, what: str) -> None:
    """Refuse users, items or categories whose indices differ from those that a model was trained with.

    The rows may be others. Without a fingerprint there is no warning, since nothing is resumed.

    Raises:
        ValueError: If an id or category differs, or the fingerprint is none.
    """
    if isinstance(datamodule, HasFingerprint) and before is not None:
        remedy = "train a model on these: this one would take each for another"
        _refuse(_read(before, what).renamed(datamodule.fingerprint()), what, remedy)


def stored_fingerprint(checkpoint: Mapping[str, Any]) -> Any:
    """Return the fingerprint that a data module put into a checkpoint, as plain data; None if there is none."""
    states = (state.get("data") for state in checkpoint.values() if isinstance(state, Mapping))
    return next((data for data in states if isinstance(data, Mapping) and {"splits", "names"} <= {*data}), None)


def _read(before: Any, what: str) -> Fingerprint:
    try:
        return Fingerprint.from_plain(before)
    except ValueError as error:
        raise ValueError(f"{what} holds {error}, so that the data cannot be checked; name another") from error


def _refuse(differences: Sequence[str], what: str, remedy: str) -> None:
    if differences:
        changes = listed(differences, _SHOWN)
        raise ValueError(f"{what} was begun with other data: {changes}. Restore the data as they were, or {remedy}")


def say_unchecked(what: str, reason: str) -> None:
    """Warn that the data cannot be compared with those that something was begun with."""
    rank_zero_warn(f"whether the data are those that {what} was begun with cannot be checked: {reason}")
