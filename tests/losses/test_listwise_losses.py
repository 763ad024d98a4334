"""One tester for the mathematics of all listwise losses."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_modules.losses import BSL, CCL, PSL, DirectAU, SampledSoftmax, ScoredBatch
from lightning_modules.losses.listwise_loss import BatchLoss
from tests.losses.listwise_cases import LISTWISE, ListwiseCase, offered_listwise, prepared, sample_of, scored


def title(case: ListwiseCase) -> str:
    return case.loss.title


every_loss = pytest.mark.parametrize("case", LISTWISE, ids=title)
#: Temperatures in use, and beyond.
TEMPERATURES = (0.01, 0.1, 1.0)


def test_every_loss_is_tested() -> None:
    assert {type(case.loss) for case in LISTWISE} == offered_listwise()


@every_loss
@pytest.mark.parametrize("log_q", ["none", "shared", "each"])
def test_value_of_every_row(case: ListwiseCase, log_q: str) -> None:
    batch = scored(log_q=log_q)
    loss = prepared(case.loss)
    value = loss.of_batch(batch)
    assert value.shape == (5,)
    np.testing.assert_allclose(value.numpy(), case.reference(sample_of(batch, loss)), rtol=1e-9)


@every_loss
@pytest.mark.parametrize("shape", [(4,), (5, 4)])
def test_negatives_of_one_probability_need_no_correction(case: ListwiseCase, shape: tuple[int, ...]) -> None:
    batch, loss = scored(), prepared(case.loss)
    corrected = loss.of_batch(batch._replace(log_q=torch.full(shape, -9.0, dtype=torch.double)))
    torch.testing.assert_close(corrected, loss.of_batch(batch))


@every_loss
@pytest.mark.parametrize("log_q", ["none", "shared", "each"])
def test_gradient(case: ListwiseCase, log_q: str) -> None:
    batch, loss = scored(log_q=log_q), prepared(case.loss)

    def value(positive: Tensor, negative: Tensor, user: Tensor, item: Tensor) -> Tensor:
        given = batch._replace(positive=positive, negative=negative, user_vector=user, item_vector=item)
        return loss.of_batch(given) + 0 * (positive.sum() + negative.sum() + user.sum() + item.sum())

    inputs = (batch.positive, batch.negative, batch.user_vector, batch.item_vector)
    assert torch.autograd.gradcheck(value, tuple(each.clone().requires_grad_() for each in inputs))


def assert_finite(loss: Any, batch: ScoredBatch) -> None:
    batch = batch._replace(positive=batch.positive.requires_grad_(), negative=batch.negative.requires_grad_())
    value = loss.of_batch(batch) + 0 * (batch.positive.sum() + batch.negative.sum())
    assert value.isfinite().all()
    for gradient in torch.autograd.grad(value.sum(), (batch.positive, batch.negative)):
        assert gradient.isfinite().all()


@every_loss
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("negatives", [1, 1000])
def test_finite_at_the_ends_of_cosines(case: ListwiseCase, temperature: float, negatives: int) -> None:
    changes = {"temperature": temperature} if "temperature" in case.loss.init_args() else {}
    loss = prepared(case.loss, **changes)
    ends = torch.cartesian_prod(torch.tensor([-1.0, 0.0, 1.0]), torch.tensor([-1.0, 0.0, 1.0]))
    batch = scored(len(ends), negatives, dtype=torch.float32)
    negative = ends[:, 1:].repeat(1, negatives)
    assert_finite(loss, batch._replace(positive=ends[:, 0].clone(), negative=negative))
    mixed = torch.where(batch.negative > 0, 1.0, -1.0)
    assert_finite(loss, batch._replace(positive=ends[:, 0].clone(), negative=mixed))


@every_loss
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_single_precision_suffices(case: ListwiseCase, temperature: float) -> None:
    changes = {"temperature": temperature} if "temperature" in case.loss.init_args() else {}
    loss, batch = prepared(case.loss, **changes), scored(64, 100)
    single = ScoredBatch(*(each.float() if each.is_floating_point() else each for each in batch))
    assert loss.of_batch(single).dtype == torch.float32
    torch.testing.assert_close(loss.of_batch(single).double(), loss.of_batch(batch), rtol=1e-4, atol=1e-4)


@every_loss
def test_order_of_negatives_does_not_matter(case: ListwiseCase) -> None:
    batch, loss = scored(log_q="each"), prepared(case.loss)
    order = torch.tensor([2, 0, 3, 1])
    reordered = batch._replace(negative=batch.negative[:, order], log_q=batch.log_q[:, order])
    torch.testing.assert_close(loss.of_batch(reordered), loss.of_batch(batch))


@every_loss
def test_only_differences_of_scores_matter_where_the_formula_says_so(case: ListwiseCase) -> None:
    batch, loss = scored(), prepared(case.loss)
    shift = torch.linspace(-0.5, 0.5, 5, dtype=torch.double)
    shifted = batch._replace(positive=batch.positive + shift, negative=batch.negative + shift[:, None])
    same = torch.allclose(loss.of_batch(shifted), loss.of_batch(batch), rtol=1e-9)
    assert same == case.ignores_shift


@every_loss
def test_a_better_positive_or_worse_negatives_cost_no_more(case: ListwiseCase) -> None:
    batch, loss = scored(), prepared(case.loss)
    value = loss.of_batch(batch)
    assert (loss.of_batch(batch._replace(negative=batch.negative - 0.1)) <= value).all()


@pytest.mark.parametrize("case", [case for case in LISTWISE if not isinstance(case.loss, BatchLoss)], ids=title)
def test_a_stack_of_losses_is_mapped(case: ListwiseCase) -> None:
    positive, negative = scored(6).positive.view(2, 3), scored(6).negative.view(2, 3, 4)
    mapped = torch.func.vmap(case.loss)(positive, negative)
    torch.testing.assert_close(mapped.flatten(), case.loss(positive.flatten(), negative.flatten(0, 1)))


@every_loss
def test_a_batch_may_be_empty(case: ListwiseCase) -> None:
    assert prepared(case.loss).of_batch(scored(0)).shape == (0,)


@pytest.mark.parametrize(
    ("positive", "negative"), [((4, 1), (4, 3)), ((4,), (4,)), ((4,), (3, 4)), ((), (4, 3)), ((4,), (1, 3))]
)
@pytest.mark.parametrize("log_q", [0, 3])
def test_every_positive_has_its_row_of_negatives(
    positive: tuple[int, ...], negative: tuple[int, ...], log_q: int
) -> None:
    batch = scored(4, 3)._replace(
        positive=torch.zeros(positive), negative=torch.zeros(negative), log_q=torch.zeros(log_q)
    )
    with pytest.raises(ValueError, match=r"every positive has its row of negatives: give \[n\] and \[n, N\]"):
        SampledSoftmax().of_batch(batch)


@pytest.mark.parametrize("log_q", ["none", "shared", "each"])
def test_there_are_negatives(log_q: str) -> None:
    with pytest.raises(ValueError, match="there are none: draw at least 1"):
        SampledSoftmax().of_batch(scored(4, 0, log_q))


def test_the_positive_temperature_of_bsl_scales_the_loss() -> None:
    batch = scored()
    for positive_temperature in (0.05, 0.1, 0.4):
        value = BSL(0.1, positive_temperature).of_batch(batch)
        torch.testing.assert_close(value * positive_temperature / 0.1, SampledSoftmax(0.1).of_batch(batch))


def test_uniformity_needs_a_pair() -> None:
    batch = scored(1)
    alignment = (batch.user_vector - batch.item_vector).square().sum(1)
    np.testing.assert_allclose(DirectAU().of_batch(batch), alignment)


@pytest.mark.parametrize(
    ("build_impossible", "said"),
    [
        (lambda: CCL(margin=1.0), r"margin is a cosine .*in \[-1, 1\), got 1"),
        (lambda: CCL(weight=0.0), "weight must be > 0, got 0"),
        (lambda: BSL(positive_temperature=0.0), "positive_temperature must be > 0, got 0"),
        (lambda: BSL(negative_weight=-1.0), "negative_weight must be > 0, got -1"),
        (lambda: PSL(scale=0.0), "scale must be > 0, got 0"),
        (lambda: PSL("exp"), "activation must be one of tanh, relu, atan, got 'exp'"),  # type: ignore[arg-type]
        (lambda: DirectAU(gamma=float("inf")), "gamma must be > 0 and finite, got inf"),
    ],
)
def test_impossible_arguments_are_refused(build_impossible: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build_impossible()
