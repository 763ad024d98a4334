"""The critic of one task, and its first layer, which embeds every category once."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from lightning_modules.layers import MLP, FieldEmbedding
from lightning_modules.layers.field_lookup import FieldLookup, field_linear, look_up
from lightning_modules.layers.mlp import without_bias_gradient
from lightning_modules.layers.table_gradient import TableGradient, new_gradient


def first_layer(
    embedding: FieldEmbedding,
    action_layer: nn.Linear,
    layer: nn.Linear,
    lookup: FieldLookup,
    numerical: Tensor,
    action: Tensor,
    table_gradient: TableGradient = new_gradient,
) -> Tensor:
    """Return ``layer([embedded fields, embedded numerical features, embedded action])`` in fewer operations.

    The same category has the same vector in many rows: on a CPU each goes through the layer once, and the rows pick and
    add up the results. The embeddings of numbers are linear, so they and the layer are multiplied with each other
    rather than with the rows. Equal to the plain form but for rounding; it can be differentiated once.

    Args:
        embedding: Embeds fields and numerical features.
        action_layer: Embeds the action.
        layer: The layer that reads the concatenated vectors.
        lookup: What :func:`look_up` found for the rows.
        numerical: Numerical features, float [n, features].
        action: The action, float [n].
        table_gradient: Puts the gradient of the embeddings together.

    Returns:
        Float [n, out].
    """
    size = action_layer.out_features
    fields, *parts = layer.weight.split(_widths(embedding, size), dim=1)
    layers = [*([embedding.numerical] if embedding.numerical is not None else []), action_layer]
    bias = layer.bias + sum(part @ each.bias for part, each in zip(parts, layers, strict=True))
    weight = torch.cat([*(part @ each.weight for part, each in zip(parts, layers, strict=True)), bias[:, None]], dim=1)
    # The bias as one more column saves a pass over the outputs.
    numbers = torch.cat([numerical, action.unsqueeze(1), torch.ones_like(action).unsqueeze(1)], dim=1)
    if embedding.table is None:
        return linear(numbers.to(weight.dtype), weight)
    outputs = field_linear(embedding.table.weight, fields, lookup, table_gradient)
    # Operations in place are left to themselves in mixed precision.
    return outputs.addmm_(numbers.to(outputs.dtype), weight.T.to(outputs.dtype))


def _widths(embedding: FieldEmbedding, size: int) -> list[int]:
    numbers = [size] * (1 if embedding.numerical is None else 2)
    return [len(embedding.field_sizes) * size, *numbers]


class Critic(nn.Module):
    """The value ``Q(s, a)`` of predicting the probability ``a`` for a row whose features are ``s``.

    The critic of RMTL (Liu et al., "Multi-Task Recommendations with Reinforcement Learning", WWW 2023,
    https://arxiv.org/abs/2302.03328): ``Q(s, a) = tower(bottom([s_1, ..., s_m, W a + b]))``, where ``s_i`` are the
    embeddings of the fields and of the numerical features. One critic values one task; with the same sizes its
    embedding takes the weights of a model's, ``critic.embedding.load_state_dict(model.embedding.state_dict())``.

    Args:
        field_sizes: Number of indices of every categorical field, that of unknown values included.
        num_numerical: Number of numerical features.
        embedding_dim: Size of every field's embedding, of that of all numerical features and of that of the action.
        bottom_dims: Size of every hidden layer of the bottom, first to last.
        tower_dims: Size of every hidden layer of the tower, first to last; a Linear layer to the value follows.
        dropout: Share of hidden units that are dropped in training.
        batch_norm: Whether hidden layers are normalised over the batch; the published critic does not.
    """

    def __init__(
        self,
        field_sizes: Sequence[int],
        num_numerical: int,
        *,
        embedding_dim: int = 128,
        bottom_dims: Sequence[int] = (512, 256),
        tower_dims: Sequence[int] = (128, 64),
        dropout: float = 0.2,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(field_sizes, num_numerical, embedding_dim, batch_norm=batch_norm)
        action = nn.Linear(1, embedding_dim)
        self.action = without_bias_gradient(action) if batch_norm else action
        width = self.embedding.out_features + embedding_dim
        self.bottom = MLP(width, bottom_dims, dropout=dropout, batch_norm=batch_norm)
        self.tower = MLP(
            self.bottom.out_features, tower_dims, dropout=dropout, batch_norm=batch_norm, output_features=1
        )
        #: How the gradient of the embeddings is put together; a training loop may choose :class:`ReusedGradient`.
        self.table_gradient: TableGradient = new_gradient

    def forward(self, categorical: Tensor, numerical: Tensor, action: Tensor) -> Tensor:
        """Return the value of every row's action.

        Args:
            categorical: Index of every row within each field, int64 [n, fields].
            numerical: Numerical features, float [n, features].
            action: Predicted probability of the task, float [n].

        Returns:
            Float [n].
        """
        return self.value(self.look_up(categorical), numerical, action)

    def look_up(self, categorical: Tensor) -> FieldLookup:
        """Find the rows' vectors once for all critics of the same fields, int64 [n, fields]."""
        return look_up(categorical, self.embedding.offsets)

    def value(self, lookup: FieldLookup, numerical: Tensor, action: Tensor) -> Tensor:
        """Return what ``forward`` returns for rows that have been looked up."""
        layer = cast(nn.Linear, self.bottom[0])
        outputs = first_layer(self.embedding, self.action, layer, lookup, numerical, action, self.table_gradient)
        return _run(self.tower, _run(list(self.bottom)[1:], outputs)).squeeze(1)


def _run(layers: Iterable[nn.Module], outputs: Tensor) -> Tensor:
    """Return what an MLP's layers return; ReLU overwrites its input, which nothing else may need."""
    waits = False
    for layer in layers:
        # Units dropped before ReLU are units dropped after it, but only this order can overwrite them.
        if waits and not isinstance(layer, nn.Dropout):
            outputs, waits = outputs.relu_(), False
        if isinstance(layer, nn.ReLU):
            waits = True
        else:
            outputs = layer(outputs)
    return outputs.relu_() if waits else outputs


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"softplus": softplus, "relu": torch.relu}


class NonPositiveCritic(Critic):
    """A critic whose values are never above 0, as befits rewards that are logarithms of probabilities.

    Args:
        field_sizes: See :class:`Critic`.
        num_numerical: See :class:`Critic`.
        activation: ``softplus`` returns ``-log(1 + exp(x))`` of the tower's output ``x``, which always has a gradient.
            ``relu`` returns ``-max(x, 0)`` as published, which stays at 0 for good once every ``x`` is negative.
        embedding_dim: See :class:`Critic`.
        bottom_dims: See :class:`Critic`.
        tower_dims: See :class:`Critic`.
        dropout: See :class:`Critic`.
        batch_norm: See :class:`Critic`.

    Raises:
        ValueError: If there is no such activation.
    """

    def __init__(
        self,
        field_sizes: Sequence[int],
        num_numerical: int,
        *,
        activation: Literal["softplus", "relu"] = "softplus",
        embedding_dim: int = 128,
        bottom_dims: Sequence[int] = (512, 256),
        tower_dims: Sequence[int] = (128, 64),
        dropout: float = 0.2,
        batch_norm: bool = False,
    ) -> None:
        super().__init__(
            field_sizes,
            num_numerical,
            embedding_dim=embedding_dim,
            bottom_dims=bottom_dims,
            tower_dims=tower_dims,
            dropout=dropout,
            batch_norm=batch_norm,
        )
        if activation not in _ACTIVATIONS:
            raise ValueError(f"there is no activation '{activation}'; choose 'softplus' or 'relu'")
        self.activation = activation

    def value(self, lookup: FieldLookup, numerical: Tensor, action: Tensor) -> Tensor:
        """Return the value of every row's action, at most 0; see :class:`Critic`."""
        return -_ACTIVATIONS[self.activation](super().value(lookup, numerical, action))
