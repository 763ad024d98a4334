"""Logged sessions, as transitions and as an environment."""

from datamodules.sessions.datamodule import SessionsDataModule

__all__ = ["SessionsDataModule"]
