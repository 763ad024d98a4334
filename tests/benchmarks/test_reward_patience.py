"""What a patience keeps of a curve."""

import pytest

from benchmarks.reward_patience import stopped

CURVE = [1.0, 2.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.0, 5.0]


@pytest.mark.parametrize(("patience", "kept", "validations"), [(2, 2.0, 4), (3, 3.0, 8), (4, 5.0, 9), (10, 5.0, 9)])
def test_a_training_ends_after_as_many_validations_without_a_better_one(
    patience: int, kept: float, validations: int
) -> None:
    assert stopped(CURVE, patience) == (kept, validations)
