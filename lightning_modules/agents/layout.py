"""The charts of an agent's training in TensorBoard."""

from callbacks.scalar_layout import Layout
from lightning_modules.multitask.layout import VALIDATION_CHARTS

#: What an agent logs; its actor has the metrics of a multi-task model.
LAYOUT: Layout = {
    "Agent": {
        "score: mean reward of a session": "val/score(/.*)?",
        "critic loss": "train/critic_loss(/.*)?",
        "actor loss and BC loss": "train/(actor|bc)_loss",
        "mean value of the critics": "train/q_mean/.*",
        "spread of the critics' values": "train/q_std/.*",
    },
    "Validation": VALIDATION_CHARTS,
}
