"""What watches: callbacks for any Lightning module."""

from callbacks.predictions import PredictionWriter
from callbacks.reward import RewardCallback

__all__ = ["PredictionWriter", "RewardCallback"]
