"""What watches: callbacks for any Lightning module."""

from callbacks.calibration import CalibrationFigure
from callbacks.predictions import PredictionWriter
from callbacks.reward import RewardCallback

__all__ = ["CalibrationFigure", "PredictionWriter", "RewardCallback"]
