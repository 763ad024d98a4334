"""What losses want and models give, and what happens to a pair that does not fit."""

import re

import pytest
import torch
from torch import Tensor, nn

from lightning_modules.losses import (
    BCE,
    BPR,
    MSE,
    FormulaLoss,
    Hinge,
    InversePropensity,
    Loss,
    LossObject,
    MisfitError,
    Prediction,
    SampledSoftmax,
)
from lightning_modules.losses.contract import NAMES, given_by, refuse_probability


class Giving(nn.Module):
    """A model that says what it gives, and has a loss."""

    def __init__(self, gives: object = None) -> None:
        super().__init__()
        self.loss = BCE()
        if gives is not None:
            self.gives = gives


FITTING: dict[str, list[LossObject]] = {
    "probability": [MSE(), FormulaLoss("(label - pred)**2")],
    "logit": [MSE(), FormulaLoss("(label - pred)**2"), BCE(), Hinge()],
    "difference": [MSE(), FormulaLoss("(label - pred)**2"), BCE(), Hinge(), BPR()],
    "scores": [SampledSoftmax()],
}
LOSSES = [MSE(), FormulaLoss("(label - pred)**2"), BCE(), Hinge(), BPR()]


@pytest.mark.parametrize("gives", FITTING)
@pytest.mark.parametrize("loss", [*LOSSES, SampledSoftmax()], ids=lambda loss: loss.title)
def test_a_loss_takes_what_it_wants_and_what_that_can_be_made_of(gives: Prediction, loss: LossObject) -> None:
    model = Giving(gives)
    if any(loss.title == each.title for each in FITTING[gives]):
        loss.check_model(model)
    else:
        said = rf"{re.escape(loss.title)} wants {NAMES[loss.wants]} and Giving gives {NAMES[gives]}: \w+"
        with pytest.raises(MisfitError, match=said):
            loss.check_model(model)


def test_a_loss_that_does_not_fit_is_told_which_do() -> None:
    for loss in (BCE(), MSE(), BPR()):
        with pytest.raises(MisfitError, match="name a listwise loss, such as SampledSoftmax"):
            loss.check_model(Giving("scores"))
    for gives in ("probability", "logit", "difference"):
        with pytest.raises(MisfitError, match="name a loss of one prediction, such as BCE, or train"):
            SampledSoftmax().check_model(Giving(gives))


@pytest.mark.parametrize("gives", [None, "score", 3])
def test_a_model_says_what_it_gives(gives: object) -> None:
    with pytest.raises(MisfitError, match=r"Giving does not say what it gives .*set gives = 'logit'"):
        given_by(Giving(gives))


def test_a_model_has_a_loss() -> None:
    with pytest.raises(MisfitError, match="Linear has no attribute 'loss'"):
        BCE().check_model(nn.Linear(2, 1))


def test_a_term_is_refused_with_its_inner_loss() -> None:
    InversePropensity(loss=MSE()).check_model(Giving("logit"))
    with pytest.raises(MisfitError, match="BPR wants a difference"):
        InversePropensity(loss=BPR()).check_model(Giving("logit"))


@pytest.mark.parametrize(("formula", "said"), [("label", "formula label as"), ("pred - pred + 1", "which is 1, as")])
def test_a_formula_that_no_prediction_moves_is_refused(formula: str, said: str) -> None:
    with pytest.raises(MisfitError, match=f"{said} it has no prediction in it"):
        FormulaLoss(formula).check_model(Giving("logit"))


LOGIT = torch.linspace(-2, 2, 8)
PROBABILITIES = {
    "sigmoid": lambda logit: torch.sigmoid(logit),
    "reshaped": lambda logit: torch.sigmoid(logit[:, None]).squeeze(-1),
    "sliced": lambda logit: torch.sigmoid(torch.cat([logit, logit]))[:8],
    "softmax": lambda logit: torch.softmax(torch.stack([logit, -logit], dim=1), dim=1)[:, 1],
    "clamped": lambda logit: torch.sigmoid(logit).clamp(1e-6, 1 - 1e-6),
    "joined": lambda logit: torch.stack(torch.sigmoid(logit).split(4)).transpose(0, 1).flatten(),
    "product": lambda logit: torch.sigmoid(logit) * torch.sigmoid(-logit),
    "half": lambda logit: torch.sigmoid(logit.bfloat16()).float(),
}


@pytest.mark.parametrize("name", PROBABILITIES)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.title)
def test_a_probability_is_no_logit(name: str, loss: Loss) -> None:
    probability = PROBABILITIES[name](LOGIT.clone().requires_grad_())
    with pytest.raises(MisfitError, match="a probability where a logit is due"):
        loss.from_logit(probability, torch.ones(8))
    if loss.wants == "probability":
        loss(probability, torch.ones(8))
    else:
        with pytest.raises(MisfitError, match="a probability where a logit is due"):
            loss(probability, torch.ones(8))


def test_logits_that_lie_between_0_and_1_are_logits() -> None:
    logit = torch.rand(8, requires_grad=True)
    gate = torch.sigmoid(logit)
    for given in (logit, logit * 2 - logit, gate * 2, gate * logit, gate - torch.sigmoid(-logit), logit.clamp(0, 1)):
        refuse_probability(given)


def test_losses_can_be_compiled() -> None:
    def loss(logit: Tensor, label: Tensor) -> Tensor:
        return BCE().from_logit(logit * 2, label) + MSE().from_logit(logit * 2, label)

    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    given = LOGIT.clone().requires_grad_()
    torch.testing.assert_close(compiled(given, torch.ones(8)), loss(given, torch.ones(8)))


def test_the_first_call_of_a_training_is_looked_at() -> None:
    loss = MSE()
    with pytest.raises(MisfitError, match="wants probabilities and was given -2"), loss.first_call_checked():
        loss(LOGIT, torch.ones(8))
    loss(LOGIT, torch.ones(8))
    with loss.first_call_checked():
        loss(torch.sigmoid(LOGIT), torch.ones(8))
        loss(torch.full((8,), torch.nan), torch.ones(8))
    with BCE().first_call_checked() as nothing:
        assert nothing is None
        BCE()(LOGIT, torch.ones(8))
