"""Optimizers of large tables."""

from lightning_modules.optimizers.lazy_adam import LazyAdam
from lightning_modules.optimizers.lazy_table import LazyTable

__all__ = ["LazyAdam", "LazyTable"]
