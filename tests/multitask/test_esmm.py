from pathlib import Path

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from lightning_modules.losses import MSE, InversePropensity
from lightning_modules.multitask import ESMM
from lightning_modules.multitask.esmm import funnel_logits
from lightning_modules.training.convergence import builder
from tests.multitask.multitask_helpers import build, loader, planted
from tests.trainer_helpers import quiet_trainer


def test_the_probability_of_conversion_is_that_of_click_times_that_of_conversion_after_it() -> None:
    batch = planted(num_tasks=3)
    model = build(ESMM, num_tasks=3).double().eval()
    inputs = batch.categorical, batch.numerical.double()
    click, cart, pay = torch.sigmoid(model.step_logits(*inputs)).unbind(1)
    torch.testing.assert_close(torch.sigmoid(model(*inputs)), torch.stack([click, click * cart, click * cart * pay], 1))


def test_gradients_are_those_of_the_product() -> None:
    torch.manual_seed(0)
    logit = torch.randn(50, 3, dtype=torch.float64, requires_grad=True)
    torch.sigmoid(funnel_logits(logit)).square().sum().backward()
    expected = logit.detach().clone().requires_grad_()
    torch.sigmoid(expected).cumprod(dim=1).square().sum().backward()
    torch.testing.assert_close(logit.grad, expected.grad)


def test_extreme_steps_stay_finite_and_exact() -> None:
    steps = torch.tensor([[200.0, 200.0], [-200.0, 200.0], [200.0, -200.0], [-200.0, -200.0]], requires_grad=True)
    logits = funnel_logits(steps)
    logits.sum().backward()
    log_two = float(torch.log(torch.tensor(2.0)))
    torch.testing.assert_close(logits[:, 1].detach(), torch.tensor([200 - log_two, -200.0, -200.0, -400.0]))
    assert torch.isfinite(steps.grad).all()


def test_products_that_round_to_0_or_1_keep_their_order() -> None:
    falling = torch.linspace(-400, 400, 33, dtype=torch.float64)
    for other in (-200.0, 0.0, 200.0, 900.0):
        product = funnel_logits(torch.stack([falling, torch.full_like(falling, other)], dim=1).float())[:, 1]
        right = -torch.logaddexp(torch.logaddexp(-falling, falling.new_tensor(-other)), -falling - other)
        torch.testing.assert_close(product.double(), right, rtol=1e-6, atol=1e-6)


def test_no_step_is_likelier_than_the_one_before() -> None:
    logits = funnel_logits(torch.randn(200, 4) * 5)
    assert (logits.diff(dim=1) <= 0).all()


def test_the_counterfactual_term_is_added_to_the_later_tasks() -> None:
    model, batch = build(ESMM, inverse_propensity=InversePropensity(weight=0.5, max_weight=3.0)).eval(), planted()
    steps = model.step_logits(batch.categorical, batch.numerical).detach()
    inverse = (1 / torch.sigmoid(steps[:, 0])).clamp(max=3.0)
    conversion = binary_cross_entropy_with_logits(steps[:, 1], batch.label[:, 1], reduction="none")
    plain = binary_cross_entropy_with_logits(funnel_logits(steps), batch.label, reduction="none")
    expected = plain + torch.stack([torch.zeros(64), 0.5 * batch.label[:, 0] * inverse * conversion], dim=1)
    torch.testing.assert_close(model.task_losses(batch), expected)


def test_the_counterfactual_term_is_in_checkpoints_and_new_models(tmp_path: Path) -> None:
    term = InversePropensity(max_weight=7.0, loss=MSE())
    model = build(ESMM, inverse_propensity=term)
    trainer = quiet_trainer(max_epochs=1)
    trainer.fit(model, loader(planted(256)))
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = ESMM.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert loaded.inverse_propensity.spec() == builder(model)().inverse_propensity.spec() == term.spec()
    assert build(ESMM).hparams["inverse_propensity"] is None
