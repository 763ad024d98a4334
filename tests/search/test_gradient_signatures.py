import math

import pytest
import torch
from torch import Tensor

from lightning_modules.losses import Numerics
from lightning_modules.search.gradient_signatures import SAME_COSINE, DirectionIndex, SignatureIndex
from lightning_modules.search.program_gradients import evaluate
from tests.search.search_helpers import full_space, seeded

POINTS, TOLERANCE = 8, 1e-4


class NaiveIndex:
    """Compares every signature with the known ones, and those unknown with the earlier ones of their batch."""

    def signatures(self, gradients: Tensor) -> Tensor:
        return gradients.sign() * gradients.abs().add(1).log()

    def __init__(self) -> None:
        self.known: list[Tensor] = []

    def number(self, gradients: Tensor) -> list[int]:
        signatures = self.signatures(gradients)
        numbers: list[int] = []
        new: list[tuple[Tensor, int]] = []
        for signature in signatures:
            known = self.places(signature, self.known)
            in_batch = [new[place][1] for place in self.places(signature, [other for other, _ in new])]
            fresh = max([len(self.known) - 1, *(number for _, number in new)]) + 1
            numbers.append((known or in_batch or [fresh])[0])
            if not known:
                new.append((signature, numbers[-1]))
        self.known += [new[[number for _, number in new].index(number)][0] for number in sorted({n for _, n in new})]
        return numbers

    def places(self, signature: Tensor, others: list[Tensor]) -> list[int]:
        return self.same(signature, torch.stack(others)).nonzero()[:, 0].tolist() if others else []

    @staticmethod
    def same(one: Tensor, others: Tensor) -> Tensor:
        return (one - others).abs().amax(dim=1) < TOLERANCE


class NaiveDirections(NaiveIndex):
    """Compares directions by their cosine."""

    def signatures(self, gradients: Tensor) -> Tensor:
        return gradients

    @staticmethod
    def same(one: Tensor, others: Tensor) -> Tensor:
        without_direction = torch.maximum(one.abs().amax(), others.abs().amax(dim=1)) <= 1e-4
        return without_direction | (torch.cosine_similarity(one[None], others, dim=1) > SAME_COSINE)


def directions(count: int, points: int, seed: int) -> Tensor:
    """Return gradients of all lengths in few dimensions, among them copies just within and just outside the cosine."""
    generator = seeded(seed)
    basis = torch.randn(5, points, generator=generator, dtype=torch.float64)
    rows = torch.randn(count, 5, generator=generator, dtype=torch.float64) @ basis
    origin = torch.randint(max(1, count // 4), (count,), generator=generator)
    angles = (math.acos(SAME_COSINE) * 2 * torch.rand(count, 1, generator=generator, dtype=torch.float64)).tan()
    away = torch.randn(count, points, generator=generator, dtype=torch.float64)
    unit = rows[origin] / rows[origin].norm(dim=1, keepdim=True)
    away -= (away * unit).sum(1, keepdim=True) * unit
    copies = unit + angles * away / away.norm(dim=1, keepdim=True)
    kind = torch.randint(3, (count, 1), generator=generator)
    scale = torch.exp(6 * torch.randn(count, 1, generator=generator, dtype=torch.float64)).clamp_min(1e-3)
    return torch.where(kind == 0, rows, copies) * scale


@pytest.mark.parametrize("points", [2, 3, 8, 40])
@pytest.mark.parametrize("seed", range(3))
def test_directions_are_numbered_as_by_a_naive_double_loop(points: int, seed: int) -> None:
    gradients = directions(400, points, seed)
    index, naive = DirectionIndex(points), NaiveDirections()
    for batch in gradients.split([150, 1, 49, 200]):
        assert index.number(batch).tolist() == naive.number(batch)
        assert len(index) == len(naive.known)


def test_directions_of_real_programs_are_those_of_a_naive_double_loop() -> None:
    space = full_space(nodes=5)
    pred, label = torch.linspace(0.1, 0.9, POINTS).double(), (torch.arange(POINTS) % 2).double()
    index, naive = DirectionIndex(POINTS), NaiveDirections()
    for seed in range(3):
        gradients = evaluate(space.uniform(150, seeded(seed)), space, pred, label, Numerics()).gradient
        assert index.number(gradients).tolist() == naive.number(gradients)


def test_what_has_no_direction_is_one() -> None:
    gradients = torch.tensor([[0.0, 0.0], [1e-5, 0.0], [math.nan, 1.0], [math.inf, 1.0], [1.0, 0.0]]).double()
    index = DirectionIndex(2)
    assert index.number(gradients).tolist() == [0, 0, 0, 0, 1]
    assert index.number(gradients.flip(0)).tolist() == [1, 0, 0, 0, 0]


def test_a_stored_index_of_directions_goes_on_as_the_first() -> None:
    first, second = DirectionIndex(POINTS), DirectionIndex(POINTS)
    second.restore(first.known)
    batches = directions(600, POINTS, 5).split(90)
    for batch in batches[:4]:
        first.number(batch)
    second.restore(first.known)
    for batch in batches[4:]:
        assert torch.equal(first.number(batch), second.number(batch))


def planted(count: int, seed: int) -> Tensor:
    """Return gradients of all magnitudes, among them repeats and copies within and just outside the tolerance."""
    generator = seeded(seed)
    signatures = 4 * torch.randn(count, POINTS, generator=generator, dtype=torch.float64)
    origin = torch.randint(max(1, count // 8), (count,), generator=generator)
    shift = 1.2 * TOLERANCE * (2 * torch.rand(count, POINTS, generator=generator, dtype=torch.float64) - 1)
    kind = torch.randint(3, (count, 1), generator=generator)
    signatures = torch.where(kind == 0, signatures, signatures[origin] + shift * (kind == 1))
    return signatures.sign() * signatures.abs().expm1()


@pytest.mark.parametrize("seed", range(4))
def test_numbers_are_those_of_a_naive_double_loop(seed: int) -> None:
    gradients = planted(400, seed)
    index, naive = SignatureIndex(POINTS, TOLERANCE), NaiveIndex()
    for batch in gradients.split([150, 1, 49, 200]):
        assert index.number(batch).tolist() == naive.number(batch)
        assert len(index) == len(naive.known)
    assert 50 < len(index) < 350


def test_numbers_of_real_programs_are_those_of_a_naive_double_loop() -> None:
    space = full_space(nodes=5)
    pred, label = torch.linspace(0.1, 0.9, POINTS).double(), (torch.arange(POINTS) % 2).double()
    index, naive = SignatureIndex(POINTS, TOLERANCE), NaiveIndex()
    for seed in range(3):
        gradients = evaluate(space.uniform(200, seeded(seed)), space, pred, label, Numerics()).gradient
        assert index.number(gradients).tolist() == naive.number(gradients)


def test_a_chain_of_close_signatures_in_one_batch_is_one() -> None:
    chain = torch.arange(5).double()[:, None] * 0.7 * TOLERANCE
    assert SignatureIndex(1, TOLERANCE).number(chain).tolist() == [0] * 5


def test_numbers_are_stable_and_follow_the_first_appearance() -> None:
    gradients = torch.tensor([[3.0, 1.0], [1.0, 2.0], [3.0, 1.0], [-3.0, 1.0]], dtype=torch.float64)
    index = SignatureIndex(2)
    assert index.number(gradients).tolist() == [0, 1, 0, 2]
    index.number(torch.randn(500, 2, generator=seeded(), dtype=torch.float64) * 5)
    assert index.number(gradients.flip(0)).tolist() == [2, 0, 1, 0]


def test_signatures_that_only_share_their_projection_are_different() -> None:
    index = SignatureIndex(2)
    # Orthogonal to the direction that the index projects on, so that both rows have the projection of the origin.
    away = torch.stack([index._direction[1], -index._direction[0]])
    gradients = torch.stack([torch.zeros(2).double(), away.sign() * away.abs().expm1()])
    assert index.number(gradients).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (0.0, 0.9e-4, True),
        (0.0, 1.1e-4, False),
        (-0.4e-4, 0.4e-4, True),
        (1000.0, 1000.09, True),
        (1000.0, 1000.11, False),
        (1e8, 1e8 * (1 + 0.9e-4), True),
        (1e8, -1e8, False),
    ],
)
@pytest.mark.parametrize("one_batch", [True, False])
def test_small_gradients_compare_absolutely_and_large_ones_relatively(
    left: float, right: float, same: bool, one_batch: bool
) -> None:
    gradients = torch.tensor([[left], [right]], dtype=torch.float64)
    index = SignatureIndex(1)
    numbers = torch.cat([index.number(batch) for batch in ([gradients] if one_batch else gradients.split(1))])
    assert numbers.tolist() == ([0, 0] if same else [0, 1])


def test_an_empty_batch_has_no_numbers() -> None:
    index = SignatureIndex(2)
    assert index.number(torch.empty(0, 2, dtype=torch.float64)).tolist() == []
    assert len(index) == 0


def test_a_stored_index_has_the_signatures_alone_and_goes_on_as_the_first() -> None:
    first, second = SignatureIndex(POINTS), SignatureIndex(POINTS)
    batches = planted(400, 5).split(90)
    for batch in batches[:3]:
        first.number(batch)
    known = first.known
    assert known.untyped_storage().nbytes() == len(first) * POINTS * known.element_size()
    second.restore(known)
    for batch in batches[3:]:
        assert torch.equal(first.number(batch), second.number(batch))
    assert torch.equal(first.known, second.known)
    assert len(known) < len(first)
