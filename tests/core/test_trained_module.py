import pytest
import torch

from lightning_modules.core.trained_module import RunningMean


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_a_mean_of_many_values_is_theirs_in_any_precision(dtype: torch.dtype) -> None:
    mean = RunningMean()
    for _ in range(1000):
        mean.add(torch.tensor([0.5, 64.0], dtype=dtype))
    assert mean.compute().tolist() == [0.5, 64.0]
    assert mean.compute().dtype == torch.promote_types(dtype, torch.float32)


def test_a_stored_sum_of_half_precision_goes_on_in_single_precision() -> None:
    mean = RunningMean()
    mean.load_state_dict({"total": torch.tensor([256.0], dtype=torch.bfloat16), "count": 512}, torch.device("cpu"))
    for _ in range(512):
        mean.add(torch.tensor([0.5], dtype=torch.bfloat16))
    assert mean.compute().tolist() == [0.5]
