import pytest
import torch

from lightning_modules.utilities.subnormals import flushed_subnormals, flushes_subnormals


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="the processor cannot flush subnormal numbers")
def test_they_count_as_zero_inside_alone() -> None:
    tiny = torch.full((1000,), 3e-39)
    with flushed_subnormals():
        assert flushes_subnormals()
        assert float((tiny * 2).sum()) == 0
        with flushed_subnormals():
            pass
        assert flushes_subnormals()
    assert not flushes_subnormals()
    assert float((tiny * 2).max()) > 0


def test_an_error_restores_them() -> None:
    with pytest.raises(ValueError, match="inside"), flushed_subnormals():
        raise ValueError("inside")
    assert not flushes_subnormals()
