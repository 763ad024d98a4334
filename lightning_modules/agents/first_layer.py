"""The first layer of a critic, computed on what differs between rows alone."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from lightning_modules.layers import FieldEmbedding
from lightning_modules.layers.field_lookup import FieldLookup, field_linear
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
        return linear(numbers, weight)
    outputs = field_linear(embedding.table.weight, fields, lookup, table_gradient)
    # Operations in place are left to themselves in mixed precision.
    return outputs.addmm_(numbers.to(outputs.dtype), weight.T.to(outputs.dtype))


def _widths(embedding: FieldEmbedding, size: int) -> list[int]:
    numbers = [size] * (1 if embedding.numerical is None else 2)
    return [len(embedding.field_sizes) * size, *numbers]
