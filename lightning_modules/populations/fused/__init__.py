"""Fused training: all steps of an epoch in one call of a compiled kernel, one candidate after the other."""
