"""Parts that several models share."""

from lightning_modules.layers.mlp import MLP

__all__ = ["MLP"]
