import math

import pytest
import torch

from lightning_modules.losses import MSE, Numerics
from lightning_modules.search.screening import Screened, Screening, ScreeningResult
from lightning_modules.search.space import SearchSpace
from tests.search.search_helpers import (
    PREDICTION,
    REVERSED_ERROR,
    SQUARED_ERROR,
    WITHOUT_PREDICTION,
    WrittenNode,
    seeded,
    written,
)

SPACE = SearchSpace(nodes=5)
FOURTH_POWER: list[WrittenNode] = [*SQUARED_ERROR, ("square", 5)]


def screening(space: SearchSpace = SPACE, **options: float | None) -> Screening:
    return Screening(space, Numerics(), seeded(), **options)  # type: ignore[arg-type]


def sorted_probe(probes: int) -> list[float]:
    """Return the predictions that a screening with the generator of ``screening`` looks at."""
    uniform = torch.rand(probes, generator=seeded(), dtype=torch.float64)
    return (0.1 + 0.8 * uniform).sort().values.tolist()


def hinged_error(leaf: float, probes: int) -> Screened:
    """Screen (max(pred, leaf) - label)**2, whose gradients are right where pred > leaf and zero elsewhere."""
    space = SearchSpace(leaves=["pred", "label", leaf], nodes=4)
    program: list[WrittenNode] = [("max", 0, 2), ("negative", 1), ("add", 3, 4), ("square", 5)]
    return screening(space, probes=probes, least_right_share=0.6).screen(written(space, program))


@pytest.mark.parametrize(
    ("program", "result", "right_share", "joint_share"),
    [
        (WITHOUT_PREDICTION, ScreeningResult.ZERO_GRADIENT, 0.0, 0.0),
        ([("negative", 0), ("add", 0, 3)], ScreeningResult.ZERO_GRADIENT, 0.0, 0.0),
        (PREDICTION, ScreeningResult.WRONG_DIRECTION, 0.5, 0.0),
        ([("negative", 0)], ScreeningResult.WRONG_DIRECTION, 0.5, 0.0),
        ([("multiply", 0, 1)], ScreeningResult.WRONG_DIRECTION, 0.0, 0.0),
        ([("log", 0), ("multiply", 1, 3), ("negative", 4)], ScreeningResult.WRONG_DIRECTION, 0.5, 0.0),
        (SQUARED_ERROR, ScreeningResult.TRAINABLE, 1.0, 1.0),
        (REVERSED_ERROR, ScreeningResult.WRONG_DIRECTION, 0.0, 0.0),
    ],
)
def test_results_and_shares_of_known_programs(
    program: list[WrittenNode], result: ScreeningResult, right_share: float, joint_share: float
) -> None:
    screened = screening().screen(written(SPACE, program))
    assert screened.result.tolist() == [result]
    assert screened.right_share.tolist() == [right_share]
    assert screened.joint_share.tolist() == [joint_share]


def test_a_u_shape_without_label_is_right_half_of_the_time_and_never_for_both_labels() -> None:
    space = SearchSpace(leaves=["pred", "label", 0.5], nodes=3)
    program: list[WrittenNode] = [("negative", 2), ("add", 0, 3), ("square", 4)]
    screened = screening(space, probes=7).screen(written(space, program))
    assert screened.right_share.item() == 0.5
    assert screened.joint_share.item() == 0.0
    assert screened.result.item() == ScreeningResult.WRONG_DIRECTION


@pytest.mark.parametrize(("right", "result"), [(6, ScreeningResult.TRAINABLE), (5, ScreeningResult.WRONG_DIRECTION)])
def test_a_share_equal_to_the_least_one_passes(right: int, result: ScreeningResult) -> None:
    probe = sorted_probe(10)
    leaf = (probe[9 - right] + probe[10 - right]) / 2
    screened = hinged_error(leaf, probes=10)
    assert screened.right_share.item() == pytest.approx(right / 10)
    assert screened.joint_share.item() == pytest.approx(right / 10)
    assert screened.result.item() == result


def test_right_signs_for_one_label_alone_are_no_joint_share() -> None:
    space = SearchSpace(leaves=["pred", "label", 0.5], nodes=4)
    # -label * max(pred, 0.5) has no gradient for label 0, and a right one for label 1 where pred > 0.5.
    program: list[WrittenNode] = [("max", 0, 2), ("multiply", 1, 3), ("negative", 4)]
    screened = screening(space, probes=20).screen(written(space, program))
    above = sum(pred > 0.5 for pred in sorted_probe(20)) / 20
    assert 0 < above < 1
    assert screened.right_share.item() == pytest.approx(above / 2)
    assert screened.joint_share.item() == 0.0


@pytest.mark.parametrize(
    ("scale", "result"), [(5e-5, ScreeningResult.ZERO_GRADIENT), (2e-4, ScreeningResult.TRAINABLE)]
)
def test_a_gradient_nowhere_above_the_tolerance_is_zero(scale: float, result: ScreeningResult) -> None:
    space = SearchSpace(leaves=["pred", "label", scale], nodes=4)
    program = [*SQUARED_ERROR, ("multiply", 2, 5)]
    assert screening(space).screen(written(space, program)).result.tolist() == [result]


def test_the_direction_check_can_be_switched_off() -> None:
    screened = screening(least_right_share=0.0).screen(written(SPACE, PREDICTION, REVERSED_ERROR, WITHOUT_PREDICTION))
    assert screened.result.tolist() == [
        ScreeningResult.TRAINABLE,
        ScreeningResult.TRAINABLE,
        ScreeningResult.ZERO_GRADIENT,
    ]


def test_repeats_in_a_batch_are_duplicates_of_the_first() -> None:
    # Adding the label changes the value only, not the gradient.
    shifted: list[WrittenNode] = [*SQUARED_ERROR, ("add", 5, 1)]
    screened = screening().screen(written(SPACE, SQUARED_ERROR, FOURTH_POWER, shifted, SQUARED_ERROR))
    new, again = ScreeningResult.TRAINABLE, ScreeningResult.DUPLICATE
    assert screened.result.tolist() == [new, new, again, again]
    assert screened.signature.tolist() == [0, 1, 0, 0]


def test_only_what_was_taken_makes_later_batches_duplicates() -> None:
    screen = screening()
    first = screen.screen(written(SPACE, SQUARED_ERROR, FOURTH_POWER))
    screen.take(first.signature[:1])
    later = screen.screen(written(SPACE, FOURTH_POWER, SQUARED_ERROR))
    assert later.result.tolist() == [ScreeningResult.TRAINABLE, ScreeningResult.DUPLICATE]
    assert later.signature.tolist() == first.signature.flip(0).tolist()


def test_rejected_programs_stay_rejected_for_their_own_reason() -> None:
    screen = screening()
    for _ in range(2):
        screened = screen.screen(written(SPACE, PREDICTION, PREDICTION, WITHOUT_PREDICTION))
        assert screened.result.tolist() == [ScreeningResult.WRONG_DIRECTION] * 2 + [ScreeningResult.ZERO_GRADIENT]
        screen.take(screened.signature)


def test_occurrences_count_all_draws_of_a_signature_so_far() -> None:
    screen = screening()
    first = screen.screen(written(SPACE, SQUARED_ERROR, PREDICTION, SQUARED_ERROR))
    assert first.occurrences.tolist() == [2, 1, 2]
    assert screen.screen(written(SPACE, PREDICTION, FOURTH_POWER)).occurrences.tolist() == [2, 1]
    assert screen.screen(written(SPACE, SQUARED_ERROR)).occurrences.tolist() == [3]


def test_random_draws_split_into_results_that_their_findings_explain() -> None:
    space = SearchSpace(nodes=6)
    screen = screening(space, largest_gradient=1.7, most_operators=5)
    screened = Screened.concatenate([screen.screen(space.uniform(3000, seeded(seed))) for seed in range(2)])
    assert len(screened.result) == 6000
    assert set(screened.result.tolist()) == set(ScreeningResult)
    wrong = screened.result == ScreeningResult.WRONG_DIRECTION
    passed = (screened.result == ScreeningResult.TRAINABLE) | (screened.result == ScreeningResult.DUPLICATE)
    assert (screened.right_share[wrong] < 0.6).all()
    assert (screened.right_share[passed] >= 0.6 - 1e-9).all()
    assert (screened.joint_share <= screened.right_share + 1e-9).all()
    assert (screened.joint_share >= 2 * screened.right_share - 1 - 1e-9).all()
    assert torch.equal(screened.occurrences[3000:].sort().values[-1:], torch.bincount(screened.signature).max()[None])


@pytest.mark.parametrize("least_joint_share", [0.0, 0.5, 0.6, 1.0])
@pytest.mark.parametrize("space", [SearchSpace(nodes=4), SearchSpace(leaves=["label", 2.0, "pred"], nodes=4)])
def test_the_sieve_loses_no_program_with_the_joint_share_and_removes_most_others(
    space: SearchSpace, least_joint_share: float
) -> None:
    programs = space.uniform(4000, seeded())
    kept = screening(space).sieve(programs, least_joint_share)
    joint_share = screening(space).screen(programs).joint_share
    enough = (joint_share >= least_joint_share) & (joint_share > 0)
    shares = screening(space).screen(kept).joint_share
    assert ((shares >= least_joint_share) & (shares > 0)).sum() == enough.sum() > 0
    assert len(kept) < len(programs) / 10


def test_the_sieve_keeps_nothing_where_the_label_cannot_be_read_and_counts_nothing() -> None:
    space = SearchSpace(leaves=["pred", 1.0], nodes=4)
    assert len(screening(space).sieve(space.uniform(500, seeded()), 0.6)) == 0
    screen = screening()
    screen.sieve(written(SPACE, SQUARED_ERROR), 0.6)
    assert screen.screen(written(SPACE, SQUARED_ERROR)).occurrences.tolist() == [1]


def with_pole(pole: float, operator: str) -> Screened:
    """Screen operator(pred - pole), whatever its signs."""
    space = SearchSpace(["add", "negative", "log", "reciprocal", "identity"], ["pred", "label", pole], nodes=3)
    program: list[WrittenNode] = [("negative", 2), ("add", 0, 3), (operator, 4)]
    return screening(space, least_right_share=0.0, largest_gradient=1e3).screen(written(space, program))


@pytest.mark.parametrize("operator", ["log", "reciprocal"])
@pytest.mark.parametrize("pole", torch.linspace(0.101, 0.899, 37).tolist())
def test_no_pole_between_one_tenth_and_nine_tenths_is_missed(operator: str, pole: float) -> None:
    assert with_pole(pole, operator).result.tolist() == [ScreeningResult.LARGE_GRADIENT]


@pytest.mark.parametrize("pole", [0.0, 1.0, 1.5])
def test_poles_at_the_ends_do_no_harm(pole: float) -> None:
    assert with_pole(pole, "log").result.tolist() == [ScreeningResult.TRAINABLE]


@pytest.mark.parametrize(("limit", "large"), [(1.79, True), (1.81, False), (None, False)])
def test_the_limit_is_that_of_the_gradient_between_one_tenth_and_nine_tenths(limit: float | None, large: bool) -> None:
    # The derivative of (label - pred)**2 is 1.8 at a distance of .9.
    screened = screening(largest_gradient=limit).screen(written(SPACE, SQUARED_ERROR))
    assert screened.result.tolist() == [ScreeningResult.LARGE_GRADIENT if large else ScreeningResult.TRAINABLE]


def test_a_gradient_that_is_infinite_close_to_an_end_is_too_large() -> None:
    space = SearchSpace(["reciprocal", "square"], ["pred", "label"], nodes=4)
    program: list[WrittenNode] = [("square", 0), ("square", 2), ("square", 3), ("reciprocal", 4)]
    unprotected = Numerics(eps=0.0, low=-math.inf, high=math.inf)
    for numerics, result in ((unprotected, ScreeningResult.LARGE_GRADIENT), (Numerics(), ScreeningResult.TRAINABLE)):
        screen = Screening(space, numerics, seeded(), least_right_share=0.0, largest_gradient=1e12)
        assert screen.screen(written(space, program)).result.tolist() == [result]


def test_repeats_of_a_large_gradient_are_as_large_and_rejected_ones_stay_rejected() -> None:
    screen = screening(largest_gradient=1.0)
    programs = written(SPACE, SQUARED_ERROR, SQUARED_ERROR, REVERSED_ERROR, WITHOUT_PREDICTION)
    large, wrong, zero = (
        ScreeningResult.LARGE_GRADIENT,
        ScreeningResult.WRONG_DIRECTION,
        ScreeningResult.ZERO_GRADIENT,
    )
    for _ in range(2):
        assert screen.screen(programs).result.tolist() == [large, large, wrong, zero]


def test_a_stored_screening_knows_what_is_too_large_and_one_without_a_limit_stores_nothing_of_it() -> None:
    space = SearchSpace(nodes=6)
    first, second = (screening(space, largest_gradient=2.0) for _ in range(2))
    first.screen(space.uniform(3000, seeded(1)))
    second.load_state_dict(first.state_dict())
    programs = space.uniform(3000, seeded(2))
    assert torch.equal(first.screen(programs).result, second.screen(programs).result)
    assert torch.equal(first.state_dict()["large"], second.state_dict()["large"])
    assert "large" not in screening().state_dict()
    limited = screening(space, largest_gradient=2.0)
    limited.load_state_dict(screening(space).state_dict())
    assert len(limited.screen(programs).result) == 3000


def test_long_formulas_are_not_trained_and_hide_no_short_one_of_the_same_gradient() -> None:
    # A sum with the label has the gradient of the formula without it, and a square that is used twice counts twice.
    longer: list[WrittenNode] = [*SQUARED_ERROR, ("add", 5, 1)]
    twice: list[WrittenNode] = [("negative", 1), ("add", 0, 3), ("square", 4), ("identity", 5), ("add", 5, 6)]
    space = SearchSpace(nodes=5)
    assert written(space, longer, SQUARED_ERROR, twice).sizes(3).tolist() == [5, 5, 8]
    short = SearchSpace(nodes=4)
    screen = screening(short, most_operators=4)
    programs = written(short, longer, SQUARED_ERROR, longer)
    assert screen.screen(programs).result.tolist() == [ScreeningResult.TRAINABLE, *[ScreeningResult.DUPLICATE] * 2]
    screen = screening(space, most_operators=7)
    screened = screen.screen(written(space, twice, SQUARED_ERROR, twice, longer))
    too_long, new, again = ScreeningResult.TOO_LONG, ScreeningResult.TRAINABLE, ScreeningResult.DUPLICATE
    assert screened.result.tolist() == [too_long, new, too_long, again]
    assert screened.unfit.tolist() == [True, False, True, False]


def test_a_long_formula_does_not_stand_for_a_short_one_that_follows_in_its_batch() -> None:
    space = SearchSpace(nodes=6)
    nested: list[WrittenNode] = [("negative", 1), ("negative", 3), ("add", 0, 3), ("add", 5, 4), ("add", 6, 3)]
    direct: list[WrittenNode] = [*SQUARED_ERROR]
    long: list[WrittenNode] = [*nested, ("square", 7)]
    assert written(space, long, direct).sizes(3).tolist() == [8, 6]
    results = screening(space, most_operators=6).screen(written(space, long, direct, direct)).result.tolist()
    assert results == [ScreeningResult.TOO_LONG, ScreeningResult.TRAINABLE, ScreeningResult.DUPLICATE]


def test_scaled_copies_are_duplicates_by_direction_alone() -> None:
    space = SearchSpace(leaves=["pred", "label", 3.0], nodes=5)
    scaled: list[WrittenNode] = [*SQUARED_ERROR, ("multiply", 2, 5)]
    new, again = ScreeningResult.TRAINABLE, ScreeningResult.DUPLICATE
    for by_direction, results in ((True, [new, again, new]), (False, [new, new, new])):
        screen = Screening(space, Numerics(), seeded(), by_direction=by_direction)
        fourth = [*SQUARED_ERROR, ("square", 5)]
        assert screen.screen(written(space, SQUARED_ERROR, scaled, fourth)).result.tolist() == results
        restored = Screening(space, Numerics(), seeded(), by_direction=by_direction)
        restored.load_state_dict(screen.state_dict())
        assert restored.screen(written(space, scaled)).signature.tolist() == [0 if by_direction else 1]


def test_what_trains_as_a_hand_made_loss_is_a_duplicate_of_it() -> None:
    screen = Screening(SPACE, Numerics(), seeded(), by_direction=True)
    error = screen.screen(written(SPACE, FOURTH_POWER)).signature.item()
    assert screen.take_loss(MSE()) == 1 != error
    again = screen.screen(written(SPACE, SQUARED_ERROR, FOURTH_POWER))
    assert again.signature.tolist() == [1, 0]
    assert again.result.tolist() == [ScreeningResult.DUPLICATE, ScreeningResult.TRAINABLE]
    assert again.occurrences.tolist() == [1, 2]


def test_an_empty_batch_is_screened_to_nothing() -> None:
    assert len(screening().screen(SPACE.uniform(0, seeded())).result) == 0
