"""Parts that several models share."""

from lightning_modules.layers.embedding import FieldEmbedding
from lightning_modules.layers.experts import Gates, ParallelLinear, ParallelMLP, mix
from lightning_modules.layers.mlp import MLP

__all__ = ["MLP", "FieldEmbedding", "Gates", "ParallelLinear", "ParallelMLP", "mix"]
