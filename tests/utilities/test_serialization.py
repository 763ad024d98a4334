"""The names of objects that describe themselves."""

import pytest

from lightning_modules.losses import BCE, Focal
from lightning_modules.multitask import ConstantWeights, UncertaintyWeighting
from lightning_modules.utilities.serialization import Described


@pytest.mark.parametrize(
    ("described", "title"),
    [
        (BCE(), "BCE"),
        (Focal(), "Focal"),
        (Focal(gamma=1.0), "Focal(gamma=1.0)"),
        (UncertaintyWeighting(), "UncertaintyWeighting"),
        (ConstantWeights([1.0, 2.0]), "ConstantWeights(weights=[1.0, 2.0])"),
    ],
)
def test_a_title_tells_what_is_not_the_default(described: Described, title: str) -> None:
    assert described.title == title
