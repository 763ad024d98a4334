"""One tester for all losses that the package offers."""

import inspect
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.special import expit, log_expit

from lightning_modules import losses
from lightning_modules.losses import Loss

S = 1e-6


@dataclass(frozen=True)
class Case:
    """A loss, and its definition in numpy."""

    loss: Loss
    reference: Callable[[np.ndarray, np.ndarray], np.ndarray]


def _focal(gamma: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda z, y: np.where(y == 1, -(expit(-z) ** gamma) * log_expit(z), -(expit(z) ** gamma) * log_expit(-z))


def _log_min(s: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda p, y: np.log(1 / (np.minimum(y, p) + s) + s) * (np.minimum(y, p) + y + p)


CASES = [
    Case(losses.BCE(), lambda z, y: -y * log_expit(z) - (1 - y) * log_expit(-z)),
    Case(losses.MSE(), lambda p, y: (y - p) ** 2),
    Case(losses.Hinge(), lambda z, y: np.maximum(0, 1 - np.where(y == 1, 1, -1) * z)),
    Case(losses.Hinge(margin=0.5), lambda z, y: np.maximum(0, 0.5 - np.where(y == 1, 1, -1) * z)),
    Case(losses.Focal(), _focal(2.0)),
    Case(losses.Focal(gamma=0.5), _focal(0.5)),
    Case(losses.MaxR(), lambda p, y: np.maximum((y + S) / (p + S), (p + S) / (y + S))),
    Case(losses.MaxR(smoothing=0.1), lambda p, y: np.maximum((y + 0.1) / (p + 0.1), (p + 0.1) / (y + 0.1))),
    Case(losses.SumR(), lambda p, y: (y + p + S) / (y * p + S)),
    Case(losses.SumR(smoothing=0.1), lambda p, y: (y + p + 0.1) / (y * p + 0.1)),
    Case(losses.LogMin(), _log_min(S)),
    Case(losses.LogMin(smoothing=0.1), _log_min(0.1)),
    Case(losses.BPR(), lambda d, y: -log_expit(np.where(y == 1, d, -d))),
    Case(losses.RankNetLoss(), lambda d, y: -y * d + np.logaddexp(0, d)),
    Case(losses.FormulaLoss("-label * log(pred)"), lambda p, y: -y * np.log(p + S)),
    Case(losses.FormulaLoss("(label - pred)**2", "autolossgen"), lambda p, y: np.maximum((y + 1e-5) ** 2, 1e-5)),
]
OFFERED = [value for value in vars(losses).values() if inspect.isclass(value) and issubclass(value, Loss)]

all_losses = pytest.mark.parametrize("case", CASES, ids=lambda case: type(case.loss).__name__)


def drawn(loss: Loss, count: int = 40, dtype: torch.dtype = torch.double) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    logit = 3 * torch.randn(count, generator=generator, dtype=torch.double)
    label = torch.randint(0, 2, (count,), generator=generator)
    prediction = logit if loss.wants == "logit" else torch.sigmoid(logit)
    return prediction.to(dtype), label.to(dtype)


def test_every_loss_is_tested():
    assert {type(case.loss) for case in CASES} == set(OFFERED) - {Loss}


@all_losses
def test_value_of_every_sample(case):
    prediction, label = drawn(case.loss)
    expected = case.reference(prediction.numpy(), label.numpy())
    np.testing.assert_allclose(case.loss(prediction, label).numpy(), expected, rtol=1e-9)


@all_losses
@pytest.mark.parametrize("shape", [(0,), (40,), (8, 5), (40, 1)])
def test_shape_stays(case, shape):
    prediction, label = (each[: int(np.prod(shape))].reshape(shape) for each in drawn(case.loss))
    assert case.loss(prediction, label).shape == shape


@all_losses
def test_gradient(case):
    prediction, label = drawn(case.loss)
    assert torch.autograd.gradcheck(lambda each: case.loss(each, label), prediction.requires_grad_())


@all_losses
def test_finite_at_the_edges(case):
    edges = torch.tensor([-50.0, 0.0, 50.0] if case.loss.wants == "logit" else [0.0, 0.5, 1.0])
    prediction, label = (each.flatten() for each in torch.meshgrid(edges, torch.tensor([0.0, 1.0]), indexing="ij"))
    value = case.loss(prediction.requires_grad_(), label)
    value.sum().backward()
    assert value.isfinite().all()
    assert prediction.grad.isfinite().all()


@all_losses
def test_logits_serve_every_loss(case):
    logit, label = drawn(losses.BCE())
    given = logit if case.loss.wants == "logit" else torch.sigmoid(logit)
    torch.testing.assert_close(case.loss.from_logit(logit, label), case.loss(given, label))


@all_losses
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_precision_stays(case, dtype):
    prediction, label = drawn(case.loss, dtype=dtype)
    value = case.loss(prediction, label)
    assert value.dtype == dtype
    assert not value.isnan().any()


@all_losses
def test_nothing_goes_into_a_checkpoint(case):
    assert case.loss.state_dict() == {}


@all_losses
def test_pickling_keeps_the_loss(case):
    prediction, label = drawn(case.loss)
    again = pickle.loads(pickle.dumps(case.loss))
    assert torch.equal(again(prediction, label), case.loss(prediction, label))


@all_losses
def test_spec_rebuilds_the_loss_through_a_safe_checkpoint(case):
    file = io.BytesIO()
    torch.save(case.loss.spec(), file)
    file.seek(0)
    spec = torch.load(file, weights_only=True)
    again = Loss.from_spec(spec)
    prediction, label = drawn(case.loss)
    assert spec["class_path"] == f"lightning_modules.losses.{type(case.loss).__name__}"
    assert type(again) is type(case.loss)
    assert again.spec() == case.loss.spec()
    assert torch.equal(again(prediction, label), case.loss(prediction, label))


def test_focal_without_focus_is_cross_entropy_for_soft_labels_too():
    logit, label = torch.randn(20, dtype=torch.double), torch.rand(20, dtype=torch.double)
    torch.testing.assert_close(losses.Focal(gamma=0.0)(logit, label), losses.BCE()(logit, label))


def test_ties_of_pairs():
    difference = torch.tensor([-2.0, 0.5, 2.0], requires_grad=True)
    tie = torch.full((3,), 0.5)
    (ranknet,) = torch.autograd.grad(losses.RankNetLoss()(difference, tie).sum(), difference)
    (bpr,) = torch.autograd.grad(losses.BPR()(difference, tie).sum(), difference)
    assert torch.equal(ranknet.sign(), difference.sign())
    assert torch.equal(bpr, torch.zeros(3))


@pytest.mark.parametrize(
    "build",
    [
        lambda: losses.Hinge(margin=0.0),
        lambda: losses.Focal(gamma=-1.0),
        lambda: losses.MaxR(smoothing=0.0),
        lambda: losses.SumR(smoothing=float("nan")),
        lambda: losses.LogMin(smoothing=-1e-6),
    ],
)
def test_impossible_arguments_are_refused(build):
    with pytest.raises(ValueError, match=r"must be >=? 0, got"):
        build()


@pytest.mark.parametrize(
    "spec",
    [
        {"class_path": "collections.Counter"},
        {"class_path": "lightning_modules.losses.Focal", "init_args": {"gama": 1.0}},
        {"class_path": "lightning_modules.losses.NoSuchLoss"},
    ],
)
def test_a_spec_of_something_else_is_refused(spec):
    with pytest.raises(ValueError, match="does not describe a loss"):
        Loss.from_spec(spec)


class Weighted(Loss):
    """A loss made of another."""

    def __init__(self, inner: Loss, weight: float = 2.0) -> None:
        super().__init__()
        self.inner = inner
        self.weight = weight


def test_a_loss_within_a_loss_is_described_and_rebuilt():
    spec = Weighted(losses.Focal(gamma=1.0), weight=0.5).spec()
    assert spec["init_args"]["inner"] == losses.Focal(gamma=1.0).spec()
    assert Loss.from_spec(spec).spec() == spec


def test_an_argument_that_is_not_plain_is_named():
    with pytest.raises(TypeError, match="override init_args"):
        Weighted(losses.BCE(), weight=torch.ones(1)).spec()
