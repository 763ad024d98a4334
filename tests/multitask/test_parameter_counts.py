import pytest
from multitask_helpers import build

from lightning_modules.multitask import AITM, ESMM, PLE, MetaHeac, MMoE, MultiTaskModel, OMoE, SharedBottom, SingleTask

# The gate of the shared path in the last layer, Linear(16 -> 3), which the published PLE has and nothing reads.
UNUSED_GATE = 16 * 3 + 3
# Table and Linear(2 -> 8); Linear(24 -> 16), Linear(16 -> 8); Linear(8 -> 4), Linear(4 -> 1); BatchNorms of the hidden.
EMBEDDING, BOTTOM, TOWER = 30 * 8 + 24, 400 + 32 + 136 + 16, 36 + 8 + 5


@pytest.mark.parametrize(
    ("model_class", "count"),
    [
        (SingleTask, 1794),
        (SharedBottom, 946),
        (ESMM, EMBEDDING + 2 * (BOTTOM + TOWER)),
        (OMoE, 1580),
        (MMoE, 1630),
        (PLE, 2408 - UNUSED_GATE),
        (AITM, 1818),
        (MetaHeac, 1680),
    ],
)
def test_parameter_counts_are_those_of_the_published_models(model_class: type[MultiTaskModel], count: int) -> None:
    """For field sizes (10, 20), 2 numerical features, embedding 8, bottom (16, 8), tower (4,) and 2 tasks."""
    model = build(model_class)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_batch_norm_can_be_left_out() -> None:
    assert sum(each.numel() for each in build(SharedBottom, batch_norm=False).parameters()) == 946 - 48 - 2 * 8
