import pytest
import torch

from lightning_modules.layers.dropout import Dropout, DropoutDraws, dropped_relu_


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_dropout_drops_the_share_and_keeps_the_mean_in_every_place(share: float) -> None:
    torch.manual_seed(0)
    dropped = Dropout(share)(torch.ones(100_000, 4))
    error = (share * (1 - share) / len(dropped)) ** 0.5
    torch.testing.assert_close((dropped == 0).float().mean(dim=0), torch.full((4,), share), atol=5 * error, rtol=0)
    torch.testing.assert_close(dropped[dropped != 0].unique(), torch.tensor([1 / (1 - share)]), rtol=2e-3, atol=0)


def test_units_are_dropped_independently_of_each_other() -> None:
    torch.manual_seed(0)
    dropped = (Dropout(0.5)(torch.ones(100_000, 8)) == 0).float()
    correlation = torch.corrcoef(torch.cat([dropped[1:], dropped[:-1]], dim=1).T) - torch.eye(16)
    assert correlation.abs().max() < 5 / len(dropped) ** 0.5


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dropout_passes_gradients_where_units_are_kept(inplace: bool, dtype: torch.dtype) -> None:
    units = torch.ones(3, 5, dtype=dtype, requires_grad=True)
    copied = units * 1
    dropped = Dropout(0.5, inplace=inplace)(copied)
    assert (dropped is copied) == inplace
    dropped.sum().backward()
    torch.testing.assert_close(units.grad, dropped.detach())


def test_dropout_follows_the_seed_and_leaves_evaluation_alone() -> None:
    dropout, units = Dropout(0.5), torch.randn(9, 7)
    dropped = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        dropped.append(dropout(units))
    assert torch.equal(dropped[0], dropped[1])
    assert not torch.equal(dropped[0], dropped[2])
    assert torch.equal(dropout.eval()(units), units)


def test_dropout_with_relu_is_both_and_has_their_gradient() -> None:
    units = torch.randn(50, 6, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(0)
    expected = torch.relu(Dropout(0.3)(units))
    torch.manual_seed(0)
    draws = DropoutDraws.of(0.3, units.shape)
    parts = zip((units * draws.scale).chunk(2, dim=1), draws.parts(2), strict=True)
    outputs = torch.cat([dropped_relu_(part.clone(), drawn) for part, drawn in parts], dim=1)
    torch.testing.assert_close(outputs, expected)
    gradients = [torch.autograd.grad(each.square().sum(), units)[0] for each in (outputs, expected)]
    torch.testing.assert_close(*gradients)
    assert 0.2 < float((outputs == 0)[units > 0].double().mean()) < 0.4
