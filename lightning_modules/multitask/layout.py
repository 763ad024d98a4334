"""The charts of a multi-task training in TensorBoard."""

from callbacks.scalar_layout import Layout
from lightning_modules.multitask.metrics import NAMES

#: Every metric of the validation rows on a chart of its own, with its tasks and their mean.
VALIDATION_CHARTS = {name.replace("_", " "): f"val/{name}(/.*)?" for name in NAMES}

#: What a multi-task model logs.
LAYOUT: Layout = {"Validation": VALIDATION_CHARTS, "Training": {"loss": "train/loss(/.*)?"}}
