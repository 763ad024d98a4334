"""Callbacks for any Lightning module."""

from callbacks.agent_figure import AgentFigure
from callbacks.calibration import CalibrationFigure
from callbacks.convergence import ConvergenceStopping
from callbacks.fit_summary import FitSummary
from callbacks.hyper_parameters import HyperParameters
from callbacks.last_checkpoint import LastCheckpoint
from callbacks.predictions import PredictionWriter
from callbacks.reward import RewardCallback

__all__ = [
    "AgentFigure",
    "CalibrationFigure",
    "ConvergenceStopping",
    "FitSummary",
    "HyperParameters",
    "LastCheckpoint",
    "PredictionWriter",
    "RewardCallback",
]
