"""The order of the rows of a loader, by which the scores of several trainings are paired."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch.utils.data import RandomSampler, SubsetRandomSampler, WeightedRandomSampler

_RANDOM = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)


def refuse_random_order(loader: Iterable[Any]) -> None:
    """Refuse what is no single loader, and one whose sampler says that every pass has an order of its own.

    Raises:
        ValueError: If it is so.
    """
    if isinstance(loader, list | tuple | Mapping):
        raise ValueError(
            f"val_dataloader or test_dataloader of the data module returns a {type(loader).__name__} of loaders, whose "
            "rows are not scored together: let it return one loader"
        )
    shuffled = next((each for each in _parts(loader) if _is_random(each)), None)
    if shuffled is not None:
        raise ValueError(
            f"the rows of a {type(loader).__name__} come in another order every time ({type(shuffled).__name__}), and "
            "scores of several trainings are compared row by row: turn shuffling off in val_dataloader and "
            "test_dataloader of the data module"
        )


def _parts(loader: Iterable[Any]) -> Iterator[Any]:
    batches = getattr(loader, "batch_sampler", None)
    yield from (getattr(loader, "sampler", None), batches, getattr(batches, "sampler", None), loader)


def _is_random(part: Any) -> bool:
    # Such as torch's DistributedSampler, and this project's loaders.
    return isinstance(part, _RANDOM) or getattr(part, "shuffle", False) is True
