"""The inputs of a model, and how they differ from those of another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lightning_modules.utilities.messages import listed

_SHOWN = 5


@dataclass(frozen=True)
class Inputs:
    """What a model reads of a row, and what it predicts.

    Attributes:
        field_sizes: Number of indices of every categorical field, that of unknown values included.
        num_numerical: Number of numerical features.
        tasks: Name of every task.
    """

    field_sizes: Sequence[int]
    num_numerical: int
    tasks: Sequence[str]

    def differences(self, other: "Inputs", whose: str) -> list[str]:
        """Return in words how this differs from another model's inputs; nothing if it does not.

        Args:
            other: The other model's inputs.
            whose: Whose they are, such as ``the model``.
        """
        return [
            *_of_numbers("categorical fields", len(self.field_sizes), len(other.field_sizes), whose),
            *_of_sizes(self.field_sizes, other.field_sizes, whose),
            *_of_numbers("numerical features", self.num_numerical, other.num_numerical, whose),
            *_of_tasks(self.tasks, other.tasks, whose),
        ]


def _of_numbers(what: str, own: int, others: int, whose: str) -> Iterator[str]:
    if own != others:
        yield f"{own} {what} where {whose} has {others}"


def _of_sizes(own: Sequence[int], others: Sequence[int], whose: str) -> Iterator[str]:
    if len(own) != len(others):
        return
    pairs = enumerate(zip(own, others, strict=True))
    different = [
        f"{size} indices in field {field} where {whose} has {other}" for field, (size, other) in pairs if size != other
    ]
    if different:
        yield listed(different, _SHOWN)


def _of_tasks(own: Sequence[str], others: Sequence[str], whose: str) -> Iterator[str]:
    if list(own) != list(others):
        yield f"the tasks {', '.join(own)} where {whose} has {', '.join(others)}"
