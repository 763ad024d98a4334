"""Models of several probabilities of a row, and how their losses are weighed."""

from lightning_modules.multitask.aitm import AITM
from lightning_modules.multitask.base import MultiTaskModel
from lightning_modules.multitask.esmm import ESMM
from lightning_modules.multitask.gradient_aggregation import GradientAggregation
from lightning_modules.multitask.metaheac import MetaHeac
from lightning_modules.multitask.metrics import MultiTaskMetrics
from lightning_modules.multitask.mmoe import MMoE
from lightning_modules.multitask.omoe import OMoE
from lightning_modules.multitask.ple import PLE
from lightning_modules.multitask.shared_bottom import SharedBottom
from lightning_modules.multitask.single_task import SingleTask
from lightning_modules.multitask.weighting import (
    ConstantWeights,
    DynamicWeightAveraging,
    TaskWeighting,
    UncertaintyWeighting,
)

__all__ = [
    "AITM",
    "ESMM",
    "PLE",
    "ConstantWeights",
    "DynamicWeightAveraging",
    "GradientAggregation",
    "MMoE",
    "MetaHeac",
    "MultiTaskMetrics",
    "MultiTaskModel",
    "OMoE",
    "SharedBottom",
    "SingleTask",
    "TaskWeighting",
    "UncertaintyWeighting",
]
