"""Trains losses to convergence, each with settings of its own, and says which differences are real."""
