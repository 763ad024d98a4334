"""Programs of scores are screened by the direction of their gradient in rows of 1, 8 and 64 negatives."""

import pytest
import torch

from lightning_modules.losses import (
    POINTWISE,
    RANKING,
    ListwiseLoss,
    Numerics,
    RankingFormulaLoss,
    SampledBPR,
    SampledSoftmax,
    SampledWARP,
)
from lightning_modules.losses.formulas.formula import Formula
from lightning_modules.losses.formulas.operators import EVERY_OPERATOR
from lightning_modules.search.score_probe import ScoreRows
from lightning_modules.search.screening import Screened, Screening, ScreeningResult
from lightning_modules.search.space import Programs, RankingSpace, SearchSpace
from lightning_modules.search.strategies.mutation import mutate
from tests.search.search_helpers import WrittenNode, seeded, written

LEAVES = ["pos_t", "neg_t", "gap", "gap_t", 1.0]
#: All operators of the dialect, and what scores do not tell.
FULL = RankingSpace([each.name for each in RANKING.operators], ["pos", *LEAVES, "beta", "log_popularity"], nodes=7)
#: Identities fill up what is missing to the length of the space.
SPACE = RankingSpace([*EVERY_OPERATOR], LEAVES, nodes=6)
WARP = "log(1 + sum(relu(1 + gap_t)))"
SOFTMAX: list[WrittenNode] = [("logmeanexp", 3)]
TRAINABLE: dict[str, list[WrittenNode]] = {
    "logmeanexp(gap_t)": SOFTMAX,
    "softplus(gap_t)": [("softplus", 3)],
    "softplus(-pos_t) + sum(softplus(neg_t))": [
        ("negative", 0),
        ("softplus", 5),
        ("softplus", 1),
        ("sum", 7),
        ("add", 6, 8),
    ],
    WARP: [("add", 3, 4), ("relu", 5), ("sum", 6), ("add", 4, 7), ("log", 8)],
    "hard(tanh(gap))": [("tanh", 2), ("hard", 5)],
    "mean(relu(neg_t)) - pos_t": [("relu", 1), ("mean", 5), ("negative", 0), ("add", 6, 7)],
}
WRONG: dict[str, list[WrittenNode]] = {
    "-pos_t": [("negative", 0)],
    "softplus(neg_t)": [("softplus", 1)],
    "-gap": [("negative", 2)],
    "gap**2": [("square", 2)],
    "mean(gap) * gap": [("mean", 2), ("multiply", 2, 5)],
}


def screened(space: SearchSpace, *programs: list[WrittenNode]) -> Screened:
    return Screening(space, Numerics(), seeded()).screen(written(space, *programs))


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_the_gradient_is_that_of_the_loss(temperature: float) -> None:
    programs, numerics = FULL.uniform(150, seeded()), Numerics()
    rows = ScoreRows.drawn(FULL, seeded(1), temperature)
    found = rows.gradient(programs, numerics)
    assert found.shape == (150, rows.points)
    expected = torch.stack(
        [gradient_of(RankingFormulaLoss(each, numerics, temperature), rows) for each in FULL.decode(programs)]
    )
    assert (expected != 0).any(1).double().mean() > 0.2
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9, equal_nan=True)


def gradient_of(loss: RankingFormulaLoss, rows: ScoreRows) -> torch.Tensor:
    """Return the derivatives of one loss, block by block."""
    by_positive, by_negative = [], []
    for block in rows.blocks:
        positive, negative = block.positive.squeeze(1).clone().requires_grad_(), block.negative.clone().requires_grad_()
        of_row = {name: value.squeeze(1) for name, value in block.of_row.items()}
        total = loss.value_of(positive, negative, None, of_row).sum()
        of_positive, of_negative = torch.autograd.grad(total, (positive, negative), materialize_grads=True)
        by_positive.append(of_positive)
        by_negative.append((of_negative * negative.shape[1] ** 0.5).flatten())
    return torch.cat([*by_positive, *by_negative])


def test_losses_that_rank_are_trainable_and_others_are_not() -> None:
    found = screened(SPACE, *TRAINABLE.values(), *WRONG.values(), [("detach", 2)], [("add", 3, 4), ("logmeanexp", 5)])
    right = len(TRAINABLE)
    names = [ScreeningResult(each).name for each in found.result.tolist()]
    assert names[:right] == ["TRAINABLE"] * right
    assert names[right:-2] == ["WRONG_DIRECTION"] * len(WRONG)
    # A constant in the scores is none in the gradient.
    assert names[-2:] == ["ZERO_GRADIENT", "DUPLICATE"]
    assert found.joint_share[:right].tolist() == [1.0] * right


def test_a_sum_is_a_duplicate_of_the_mean_by_direction_but_not_inside_a_function() -> None:
    softplus: list[WrittenNode] = [("softplus", 3)]
    same: list[list[WrittenNode]] = [
        [*softplus, ("mean", 5)],
        [*softplus, ("sum", 5)],
        [*softplus, ("hard", 5)],
        [*softplus, ("hard", 5), ("sum", 6)],
    ]
    inside: list[list[WrittenNode]] = [[*softplus, (name, 5), ("add", 4, 6), ("log", 7)] for name in ("mean", "sum")]
    programs = written(SPACE, *same, *inside)
    by_direction = Screening(SPACE, Numerics(), seeded(), by_direction=True).screen(programs)
    assert by_direction.signature.tolist() == [0, 0, 1, 1, 2, 3]
    assert Screening(SPACE, Numerics(), seeded()).screen(programs).signature.tolist() == [*range(6)]


@pytest.mark.parametrize("loss", [SampledSoftmax(0.2), SampledBPR(0.2), SampledWARP(1.0, 0.2)], ids=str)
def test_the_gradient_of_a_hand_made_loss_is_that_of_its_formula(loss: ListwiseLoss) -> None:
    formulas = {SampledSoftmax: SOFTMAX, SampledBPR: [("softplus", 3)], SampledWARP: TRAINABLE[WARP]}
    rows = ScoreRows.drawn(SPACE, seeded(1), 0.2)
    found = rows.gradient_of(loss)
    expected = rows.gradient(written(SPACE, formulas[type(loss)]), Numerics())[0]
    torch.testing.assert_close(found, expected * (found.norm() / expected.norm()), rtol=1e-4, atol=1e-6)


def test_formulas_that_train_as_the_baseline_are_duplicates_of_it() -> None:
    screening = Screening(SPACE, Numerics(), seeded(), by_direction=True, temperature=0.2)
    assert screening.take_loss(SampledSoftmax(0.2)) == 0
    # The softmax that weighs the gaps is the gradient of the logarithm of the sum.
    found = screening.screen(written(SPACE, SOFTMAX, [("hard", 3)], [("softplus", 3)]))
    assert found.result.tolist() == [ScreeningResult.DUPLICATE] * 2 + [ScreeningResult.TRAINABLE]


def test_what_falls_in_one_of_many_negatives_is_wrong_there() -> None:
    # The mean of the other negatives is subtracted: half of the negatives are pushed up.
    program: list[WrittenNode] = [
        ("mean", 1),
        ("negative", 5),
        ("add", 1, 6),
        ("square", 7),
        ("negative", 0),
        ("add", 8, 9),
    ]
    found = screened(SPACE, program)
    assert found.result.item() == ScreeningResult.WRONG_DIRECTION
    # With one negative there is no gradient by it, which is not wrong.
    assert found.right_share.item() == found.joint_share.item() == 0.4


def test_steep_rows_hide_no_wrong_signs_of_others() -> None:
    steep = RankingFormulaLoss("exp(gap_t) - gap", temperature=0.01)
    rows = ScoreRows.drawn(SPACE, seeded(), temperature=0.01)
    gradient = rows.gradient_of(steep)[None]
    falls, _ = rows.directions(gradient)
    assert torch.equal(falls, gradient[:, : rows.count] <= 0)
    assert 0 < int(falls.sum()) < rows.count


def test_the_sieve_keeps_all_that_are_right_and_few_others() -> None:
    space = RankingSpace()
    screening, programs = Screening(space, Numerics(), seeded()), space.uniform(4000, seeded(2))
    right = screening.screen(programs).joint_share >= 0.6
    kept = screening.sieve(programs, 0.6)
    again = Screening(space, Numerics(), seeded()).screen(kept).joint_share >= 0.6
    assert 0 < int(right.sum()) == int(again.sum())
    assert len(kept) < 2 * int(right.sum()) < len(programs)


def test_the_space_of_scores_has_its_own_dialect() -> None:
    assert RankingSpace().dialect is RANKING
    assert SearchSpace().dialect is POINTWISE
    texts = [str(formula.simplify()) for formula in SPACE.decode(written(SPACE, *TRAINABLE.values()))]
    assert "logmeanexp(gap_t)" in texts[0]


def test_mutants_of_a_known_loss_are_often_right() -> None:
    parent = written(SPACE, TRAINABLE[WARP])
    parents = Programs.concatenate([parent] * 300)
    mutants = Screening(SPACE, Numerics(), seeded()).screen(mutate(parents, SPACE, seeded(), 1))
    uniform = Screening(SPACE, Numerics(), seeded()).screen(SPACE.uniform(300, seeded(3)))
    assert (mutants.joint_share >= 0.6).sum() > 2 * (uniform.joint_share >= 0.6).sum()


def test_a_batch_of_which_nothing_can_be_trained_is_screened_too() -> None:
    space = RankingSpace()
    screening = Screening(space, Numerics(), seeded(), largest_gradient=10.0)
    screened = screening.screen(space.encode(Formula.parse("pos + -neg_t")))
    assert screened.result.tolist() == [ScreeningResult.WRONG_DIRECTION]
