"""A module of somebody else is given every loss as it was given torch's own."""

import copy
from typing import Any

import cloudpickle
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lossmith
from lightning_modules.losses import BCE, MSE, Focal, LossObject, MisfitError
from lightning_modules.training.convergence import builder
from tests.lossmith.modules import Net

LOGIT = torch.tensor([-2.0, 0.5, 3.0])
LABEL = torch.tensor([0, 1, 0])


def net_with(loss: nn.Module, gives: Any = "logit") -> Any:
    net = Net()
    net.loss = loss
    return lossmith.adapt(net, gives=gives)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_bce_is_torchs_own_reduced_in_the_same_way(reduction: str) -> None:
    net = net_with(nn.BCEWithLogitsLoss(reduction=reduction))
    expected = net.loss(LOGIT, LABEL.float())
    net.loss = BCE()
    assert torch.allclose(net.loss(LOGIT, LABEL), expected)


@pytest.mark.parametrize("loss", [BCE(), MSE(), Focal()])
def test_probabilities_give_the_loss_of_their_logits(loss: LossObject) -> None:
    of_logits, of_probabilities = net_with(nn.BCEWithLogitsLoss()), net_with(nn.BCELoss(), "probability")
    of_logits.loss = of_probabilities.loss = loss
    probability = torch.sigmoid(LOGIT).requires_grad_()
    found = of_probabilities.loss(probability, LABEL)
    assert torch.allclose(found, of_logits.loss(LOGIT, LABEL), atol=1e-6)
    found.backward()
    assert torch.isfinite(probability.grad).all()  # type: ignore[arg-type]


def test_the_given_module_stays_as_it_was() -> None:
    net = Net()
    adapted: Any = lossmith.adapt(net)
    adapted.loss = MSE()
    assert type(net) is Net
    assert isinstance(net.loss, nn.BCEWithLogitsLoss)
    assert isinstance(adapted, Net)


def test_copies_for_trials_workers_and_finalists_take_losses_too() -> None:
    adapted = lossmith.adapt(Net(dim=6))
    copies: list[Any] = [copy.deepcopy(adapted), cloudpickle.loads(cloudpickle.dumps(adapted)), builder(adapted)()]
    for each in copies:
        each.loss = MSE()
        assert torch.allclose(each.loss(LOGIT, LABEL), F.mse_loss(torch.sigmoid(LOGIT), LABEL.float()))
        assert each.user.embedding_dim == 6


def test_a_module_without_a_loss_and_an_unknown_kind_are_refused() -> None:
    net = Net()
    del net.loss
    with pytest.raises(MisfitError, match="Net has no attribute 'loss'"):
        lossmith.adapt(net)
    with pytest.raises(ValueError, match="gives is 'score'"):
        lossmith.adapt(Net(), gives="score")  # type: ignore[arg-type]
