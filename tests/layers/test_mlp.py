import pytest
import torch
from torch import nn

from lightning_modules.layers import MLP


def test_layers_and_sizes() -> None:
    mlp = MLP(8, (6, 4), dropout=0.2, output_features=1)
    kinds = [type(layer).__name__ for layer in mlp]
    assert kinds == ["Linear", "BatchNorm", "ReLU", "Dropout"] * 2 + ["Linear"]
    assert (mlp(torch.randn(5, 8)).shape, mlp.out_features) == ((5, 1), 1)


def test_without_output_it_ends_with_the_last_hidden_layer() -> None:
    mlp = MLP(8, (6, 4), batch_norm=False)
    assert (mlp(torch.randn(5, 8)).shape, mlp.out_features) == ((5, 4), 4)
    assert (mlp(torch.randn(5, 8)) >= 0).all()


def test_equals_its_layers_written_out() -> None:
    mlp = MLP(3, (2,), batch_norm=False, output_features=1).double()
    first, last = (layer for layer in mlp if isinstance(layer, nn.Linear))
    x = torch.randn(7, 3, dtype=torch.float64)
    hidden = (x @ first.weight.T + first.bias).clamp(min=0)
    torch.testing.assert_close(mlp(x), hidden @ last.weight.T + last.bias)


def test_a_bias_that_normalisation_takes_away_is_not_trained() -> None:
    mlp = MLP(3, (5, 4), output_features=1).double()
    biases = {name: each for name, each in mlp.named_parameters() if not each.requires_grad}
    assert list(biases) == ["0.bias", "3.bias"]
    inputs = torch.randn(20, 3, dtype=torch.float64)
    mlp.requires_grad_(True)
    before = mlp(inputs)
    assert all(each.abs().max() < 1e-12 for each in torch.autograd.grad(before.sum(), list(biases.values())))
    with torch.no_grad():
        biases["0.bias"].add_(0.7)
    torch.testing.assert_close(mlp(inputs), before)
    assert all(each.requires_grad for each in MLP(3, (5,), batch_norm=False, output_features=1).parameters())


def test_an_optimizer_that_trained_such_a_bias_goes_on_without() -> None:
    earlier, mlp = (MLP(3, (4,), output_features=1) for _ in range(2))
    earlier.requires_grad_(True)
    inputs = torch.randn(20, 3)
    optimizers = [torch.optim.Adam(each.parameters(), weight_decay=0.1) for each in (earlier, mlp)]
    earlier(inputs).square().mean().backward()
    optimizers[0].step()
    mlp.load_state_dict(earlier.state_dict())
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    mlp(inputs).square().mean().backward()
    optimizers[1].step()
    assert torch.equal(mlp[0].bias, earlier[0].bias)
    assert not torch.equal(mlp[0].weight, earlier[0].weight)


def test_a_single_training_row_uses_running_statistics_and_keeps_them() -> None:
    mlp = MLP(3, (4,), output_features=1)
    mlp(torch.randn(16, 3))
    before = {name: value.clone() for name, value in mlp.state_dict().items()}
    row = torch.randn(1, 3)
    in_training = mlp.train()(row)
    assert all(torch.equal(before[name], value) for name, value in mlp.state_dict().items())
    torch.testing.assert_close(in_training, mlp.eval()(row))


@pytest.mark.parametrize(
    ("arguments", "options"),
    [((8, ()), {}), ((0, (4,)), {}), ((8, (4, 0)), {}), ((8, (4,)), {"dropout": 1.0}), ((8, (4,)), {"dropout": -0.1})],
)
def test_impossible_sizes_are_refused(arguments: tuple, options: dict) -> None:
    with pytest.raises(ValueError, match=r"positive size|dropout"):
        MLP(*arguments, **options)
