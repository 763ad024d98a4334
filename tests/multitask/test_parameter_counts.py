from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from lightning_modules.multitask import PLE, MetaHeac, MultiTaskModel
from tests.multitask.multitask_helpers import FIELD_SIZES, MODELS, build


def linear(size: int, next_size: int) -> int:
    return (size + 1) * next_size


@dataclass(frozen=True)
class Settings:
    """What a model is built with; BatchNorm has two parameters a hidden unit."""

    num_tasks: int = 2
    num_numerical: int = 2
    embedding_dim: int = 8
    bottom_dims: Sequence[int] = (16, 8)
    tower_dims: Sequence[int] = (4,)
    batch_norm: bool = True

    @property
    def embedding(self) -> int:
        numerical = linear(self.num_numerical, self.embedding_dim) if self.num_numerical else 0
        return sum(FIELD_SIZES) * self.embedding_dim + numerical

    @property
    def width(self) -> int:
        return (len(FIELD_SIZES) + (self.num_numerical > 0)) * self.embedding_dim

    @property
    def last(self) -> int:
        return self.bottom_dims[-1]

    def hidden(self, sizes: Sequence[int]) -> int:
        return sum(linear(*pair) + 2 * pair[1] * self.batch_norm for pair in pairwise(sizes))

    @property
    def bottom(self) -> int:
        return self.hidden([self.width, *self.bottom_dims])

    @property
    def tower(self) -> int:
        sizes = [self.last, *self.tower_dims]
        return self.hidden(sizes) + linear(sizes[-1], 1)


def of_ple(s: Settings, own: int = 1, shared: int = 1) -> int:
    count, tasks = s.embedding + s.num_tasks * s.tower, s.num_tasks
    for layer, pair in enumerate(pairwise([s.width, *s.bottom_dims]), start=1):
        every = tasks * own + shared
        count += every * s.hidden(pair) + tasks * linear(pair[0], own + shared)
        # The shared path ends in the last layer.
        count += linear(pair[0], every) if layer < len(s.bottom_dims) else 0
    return count


def of_aitm(s: Settings) -> int:
    handed_on = (s.num_tasks - 1) * linear(s.last, s.last) + (s.num_tasks > 1) * 3 * linear(s.last, s.last)
    return s.embedding + s.num_tasks * (s.bottom + s.tower) + handed_on


def of_metaheac(s: Settings, experts: int = 2, critics: int = 3) -> int:
    gates = linear(2 * s.embedding_dim, experts) + linear(2 * s.embedding_dim, critics)
    return s.embedding + s.num_tasks * s.embedding_dim + experts * s.bottom + critics * s.tower + gates


COUNTS: dict[str, Callable[..., int]] = {
    "SingleTask": lambda s: s.num_tasks * (s.embedding + s.bottom + s.tower),
    "SharedBottom": lambda s: s.embedding + s.bottom + s.num_tasks * s.tower,
    "ESMM": lambda s: s.embedding + s.num_tasks * (s.bottom + s.tower),
    "OMoE": lambda s: s.embedding + 2 * s.bottom + linear(s.width, 2) + s.num_tasks * s.tower,
    "MMoE": lambda s: s.embedding + 2 * s.bottom + s.num_tasks * (linear(s.width, 2) + s.tower),
    "PLE": of_ple,
    "AITM": of_aitm,
    "MetaHeac": of_metaheac,
}
# Counted in the published models; PLE's has 51 more, those of the gate that nothing reads.
PUBLISHED = {
    "SingleTask": 1794,
    "SharedBottom": 946,
    "OMoE": 1580,
    "MMoE": 1630,
    "PLE": 2408 - 51,
    "AITM": 1818,
    "MetaHeac": 1680,
}
VARIED = [
    {},
    {"num_tasks": 1},
    {"num_tasks": 3, "num_numerical": 0},
    {"batch_norm": False, "tower_dims": ()},
    {"embedding_dim": 3, "bottom_dims": (7,), "tower_dims": (6, 5)},
    {"bottom_dims": (9, 5, 4), "num_tasks": 3},
]


@pytest.mark.parametrize("varied", VARIED, ids=str)
@pytest.mark.parametrize("model_class", MODELS)
def test_parameters_are_those_that_the_settings_ask_for(
    model_class: type[MultiTaskModel], varied: dict[str, Any]
) -> None:
    parameters = build(model_class, **varied).parameters()
    assert sum(each.numel() for each in parameters) == COUNTS[model_class.__name__](Settings(**varied))


# Biases in front of BatchNorm count, as they do in the published models, though they are not trained here.
@pytest.mark.parametrize("name", PUBLISHED)
def test_they_are_as_many_as_in_the_published_models(name: str) -> None:
    assert COUNTS[name](Settings()) == PUBLISHED[name]


@pytest.mark.parametrize(
    ("model_class", "experts", "count"),
    [
        (PLE, {"num_specific_experts": 3, "num_shared_experts": 2}, of_ple(Settings(), 3, 2)),
        (MetaHeac, {"num_experts": 4, "num_critics": 5}, of_metaheac(Settings(), 4, 5)),
    ],
)
def test_every_expert_has_parameters_of_its_own(
    model_class: type[MultiTaskModel], experts: dict[str, int], count: int
) -> None:
    assert sum(each.numel() for each in build(model_class, **experts).parameters()) == count
