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
