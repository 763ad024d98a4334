import pytest
import torch
from torch import Tensor, nn

from lightning_modules.agents import Critic, NonPositiveCritic
from lightning_modules.layers import FieldEmbedding

SIZES = {"embedding_dim": 4, "bottom_dims": (8, 6), "tower_dims": (3,)}


def rows(count: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    categorical = torch.randint(0, 5, (count, 2), generator=generator)
    return categorical, torch.randn(count, 3, generator=generator), torch.rand(count, generator=generator)


def test_a_critic_is_its_formula() -> None:
    critic = Critic([5, 7], 3, **SIZES).eval()
    categorical, numerical, action = rows()
    table, first = critic.embedding.table.weight, critic.embedding.numerical
    state = [table[categorical[:, 0]], table[5 + categorical[:, 1]], numerical @ first.weight.T + first.bias]
    hidden = torch.cat([*state, action[:, None] * critic.action.weight.T + critic.action.bias], dim=1)
    linear = [layer for layer in [*critic.bottom, *critic.tower] if isinstance(layer, nn.Linear)]
    for layer in linear[:-1]:
        hidden = (hidden @ layer.weight.T + layer.bias).clamp(min=0)
    expected = (hidden @ linear[-1].weight.T + linear[-1].bias)[:, 0]
    torch.testing.assert_close(critic(categorical, numerical, action), expected)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_training_is_that_of_its_layers_one_after_another(batch_norm: bool) -> None:
    torch.manual_seed(0)
    critic = Critic([5, 7], 3, **SIZES, dropout=0.5, batch_norm=batch_norm).double()
    categorical, numerical, action = (each.double() if each.is_floating_point() else each for each in rows(40))
    torch.manual_seed(1)
    value = critic(categorical, numerical, action)
    torch.manual_seed(1)
    vectors = [critic.embedding(categorical, numerical).flatten(1), critic.action(action[:, None])]
    expected = critic.tower(critic.bottom(torch.cat(vectors, dim=1)))[:, 0]
    torch.testing.assert_close(value, expected)
    trained = [parameter for parameter in critic.parameters() if parameter.requires_grad]
    gradients = [torch.autograd.grad(each.square().sum(), trained) for each in (value, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(("activation", "bound"), [("softplus", torch.nn.functional.softplus), ("relu", torch.relu)])
def test_the_non_positive_critic_bends_the_same_network(activation: str, bound: nn.Module) -> None:
    critic = NonPositiveCritic([5, 7], 3, activation=activation, **SIZES).eval()
    plain = Critic([5, 7], 3, **SIZES).eval()
    plain.load_state_dict(critic.state_dict())
    with torch.no_grad():
        plain.tower[-1].weight.mul_(20)
    critic.load_state_dict(plain.state_dict())
    value = critic(*rows())
    assert (value <= 0).all()
    torch.testing.assert_close(value, -bound(plain(*rows())))


def test_softplus_keeps_a_gradient_where_relu_has_died() -> None:
    gradients = {}
    for activation in ("softplus", "relu"):
        critic = NonPositiveCritic([5, 7], 3, activation=activation, **SIZES)
        with torch.no_grad():
            critic.tower[-1].bias.fill_(-5.0)
        critic(*rows()).sum().backward()
        gradients[activation] = float(critic.tower[-1].bias.grad.abs())
    assert gradients["relu"] == 0.0
    assert gradients["softplus"] > 0.01


def test_a_critic_starts_from_a_models_embedding() -> None:
    embedding = FieldEmbedding([5, 7], 3, 4)
    critic = Critic([5, 7], 3, **SIZES)
    critic.embedding.load_state_dict(embedding.state_dict())
    torch.testing.assert_close(critic.embedding(*rows()[:2]), embedding(*rows()[:2]))


def test_it_works_without_numerical_features_and_learns_the_action() -> None:
    torch.manual_seed(0)
    critic = Critic([5, 7], 0, embedding_dim=8, bottom_dims=(16, 16), tower_dims=(8,), dropout=0.0)
    categorical, _, action = rows(64)
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.02)
    losses = []
    for _ in range(80):
        loss = (critic(categorical, torch.empty(64, 0), action) + 2 * action).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'tanh'.*softplus"):
        NonPositiveCritic([5], 1, activation="tanh")
