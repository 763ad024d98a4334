"""Compares losses: trains models to convergence with each, tuned separately, and tests the differences."""
