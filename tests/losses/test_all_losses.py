"""One tester for the mathematics of all losses."""

import numpy as np
import pytest
import torch

from lightning_modules import losses
from tests.losses.loss_cases import ALL, CASES, LOSSES_OF_ROWS, Case, drawn, offered, rows, title, values_of_rows

all_losses = pytest.mark.parametrize("case", CASES, ids=lambda case: title(case.loss))
pytestmark = pytest.mark.usefixtures("stored_agent")

TINY = 1e-38
EDGES = {
    "logit": [-100.0, -50.0, -TINY, 0.0, TINY, 50.0, 100.0],
    "difference": [-100.0, -TINY, 0.0, TINY, 100.0],
    "probability": [0.0, TINY, 1e-7, 0.5, 1 - 1e-7, 1.0],
}


def test_every_loss_is_tested() -> None:
    assert {type(loss) for loss in ALL} == offered()


@all_losses
def test_value_of_every_sample(case: Case) -> None:
    prediction, label = drawn(case.loss)
    expected = case.reference(prediction.numpy(), label.numpy())
    np.testing.assert_allclose(case.loss(prediction, label).numpy(), expected, rtol=1e-9)


@all_losses
@pytest.mark.parametrize("shape", [(0,), (40,), (8, 5), (40, 1)])
def test_shape_stays(case: Case, shape: tuple[int, ...]) -> None:
    prediction, label = (each[: int(np.prod(shape))].reshape(shape) for each in drawn(case.loss))
    assert case.loss(prediction, label).shape == shape


@all_losses
@pytest.mark.parametrize("shapes", [((4, 1), (4,)), ((4,), (4, 1)), ((4,), (1,)), ((), (4,)), ((4,), (5,))])
def test_one_label_a_prediction(case: Case, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    prediction, label = (torch.full(shape, 0.5) for shape in shapes)
    for call in (case.loss, case.loss.from_logit):
        with pytest.raises(ValueError, match="has shape"):
            call(prediction, label)


@all_losses
def test_a_stack_of_losses_is_mapped(case: Case) -> None:
    prediction, label = (each.view(8, 5) for each in drawn(case.loss))
    torch.testing.assert_close(torch.func.vmap(case.loss)(prediction, label), case.loss(prediction, label))
    slope = torch.func.vmap(torch.func.grad(lambda each, of: case.loss(each, of).sum()))(prediction, label)
    assert slope.shape == prediction.shape


@all_losses
def test_a_sample_does_not_see_the_others(case: Case) -> None:
    prediction, label = drawn(case.loss)
    alone = torch.cat([case.loss(*pair) for pair in zip(prediction.split(1), label.split(1), strict=True)])
    torch.testing.assert_close(case.loss(prediction, label), alone)


@all_losses
def test_gradient(case: Case) -> None:
    prediction, label = drawn(case.loss)
    assert torch.autograd.gradcheck(lambda each: case.loss(each, label), prediction.requires_grad_())


def assert_finite(value: torch.Tensor, prediction: torch.Tensor) -> None:
    (gradient,) = torch.autograd.grad(value.sum(), prediction)
    assert value.isfinite().all()
    assert gradient.isfinite().all()


def crossed(predictions: list[float], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Return every prediction with both labels."""
    pairs = torch.cartesian_prod(torch.tensor(predictions, dtype=dtype), torch.tensor([0.0, 1.0], dtype=dtype))
    prediction, label = pairs.unbind(1)
    return prediction.clone().requires_grad_(), label


@all_losses
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_at_the_edges(case: Case, dtype: torch.dtype) -> None:
    prediction, label = crossed(EDGES[case.loss.wants], dtype)
    assert_finite(case.loss(prediction, label), prediction)
    logit, label = crossed(EDGES["logit"], dtype)
    assert_finite(case.loss.from_logit(logit, label), logit)


@pytest.mark.parametrize("loss", LOSSES_OF_ROWS, ids=title)
@pytest.mark.parametrize("edge", [-100.0, 0.0, 100.0])
def test_losses_of_rows_are_finite_at_the_edges(loss: losses.Loss, edge: float) -> None:
    logit, label, *features = rows()
    logit = torch.full_like(logit, edge).requires_grad_()
    value = values_of_rows(loss, logit, label, *features)
    assert value.shape == logit.shape
    assert_finite(value, logit)


@all_losses
def test_logits_serve_every_loss(case: Case) -> None:
    logit, label = drawn(losses.BCE())
    given = torch.sigmoid(logit) if case.loss.wants == "probability" else logit
    torch.testing.assert_close(case.loss.from_logit(logit, label), case.loss(given, label))


@all_losses
def test_all_tasks_of_all_rows_have_their_loss(case: Case) -> None:
    logit, label, *features = rows()
    columns = [case.loss.from_logit(logit[:, task], label[:, task]) for task in range(2)]
    torch.testing.assert_close(case.loss.of_rows(logit, label, *features), torch.stack(columns, dim=1))


@all_losses
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_precision_stays(case: Case, dtype: torch.dtype) -> None:
    prediction, label = drawn(case.loss, dtype=dtype)
    value = case.loss(prediction, label)
    assert value.dtype == dtype
    assert not value.isnan().any()


def test_focal_without_focus_is_cross_entropy_for_soft_labels_too() -> None:
    logit, label = torch.randn(20, dtype=torch.double), torch.rand(20, dtype=torch.double)
    torch.testing.assert_close(losses.Focal(gamma=0.0)(logit, label), losses.BCE()(logit, label))


def test_ties_of_pairs() -> None:
    difference = torch.tensor([-2.0, 0.5, 2.0], requires_grad=True)
    tie = torch.full((3,), 0.5)
    (ranknet,) = torch.autograd.grad(losses.RankNetLoss()(difference, tie).sum(), difference)
    (bpr,) = torch.autograd.grad(losses.BPR()(difference, tie).sum(), difference)
    assert torch.equal(ranknet.sign(), difference.sign())
    assert torch.equal(bpr, torch.zeros(3))
