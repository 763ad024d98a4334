"""Fused training: all steps of an epoch in one call of a compiled kernel, one candidate after the other."""

from lightning_modules.utilities.compiled import is_available

__all__ = ["is_available"]
