import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from lightning_modules.training.executors.shared_memory import Packed, pack, read_packed, unpack, write_packed

LARGE = 40_000


def through_files(packed: Packed, folder: Path) -> Packed:
    write_packed(packed, folder)
    return read_packed(folder)


def frozen(packed: Packed, folder: Path) -> Packed:
    """As Ray's object store gives them back."""
    arrays = [array.copy(order="K") for array in packed.arrays]
    for array in arrays:
        array.flags.writeable = False
    return Packed(packed.payload, arrays, packed.written)


@pytest.fixture(params=[through_files, frozen])
def travel(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Any], Any]:
    return lambda value: unpack(request.param(pack(value), tmp_path))


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.int64, torch.float32, torch.bfloat16, torch.uint8, torch.complex64]
)
@pytest.mark.parametrize("size", [3, LARGE * 2])
def test_tensors_of_every_kind_arrive(dtype: torch.dtype, size: int, travel: Callable[[Any], Any]) -> None:
    tensor = torch.arange(size).to(dtype)
    arrived = travel(tensor)
    assert arrived.dtype == dtype
    assert torch.equal(arrived, tensor)


def test_large_tensors_are_not_in_the_payload() -> None:
    packed = pack({"large": torch.rand(LARGE), "array": np.ones(LARGE), "small": torch.rand(3)})
    assert len(packed.payload) < 2000
    assert [array.nbytes for array in packed.arrays] == [LARGE * 4, LARGE * 8]


def test_packing_copies_nothing() -> None:
    tensor = torch.rand(LARGE)
    assert pack([tensor]).arrays[0].ctypes.data == tensor.data_ptr()


def test_views_arrive_and_still_share_their_memory(tmp_path: Path) -> None:
    whole = torch.arange(LARGE, dtype=torch.float32).reshape(200, 200)
    packed = through_files(pack((whole, whole.T, whole[3:5, ::2], whole)), tmp_path)
    assert len(packed.arrays) == 1
    arrived, transposed, part, again = unpack(packed)
    assert torch.equal(transposed, whole.T)
    assert transposed.stride() == whole.T.stride()
    assert torch.equal(part, whole[3:5, ::2])
    arrived[3, 2] = -1
    assert part[0, 1] == -1
    assert transposed[2, 3] == -1
    assert again is arrived


def test_modules_keep_their_parameters_and_ties(travel: Callable[[Any], Any]) -> None:
    module = nn.Sequential(nn.Embedding(500, 100, sparse=True), nn.Linear(100, 500, bias=False), nn.BatchNorm1d(20_000))
    module[1].weight = module[0].weight
    arrived = travel(module)
    assert isinstance(arrived[0].weight, nn.Parameter)
    assert arrived[0].weight is arrived[1].weight
    for name, tensor in module.state_dict().items():
        assert torch.equal(arrived.state_dict()[name], tensor), name


def test_modules_can_be_trained_where_arrays_are_read_only(tmp_path: Path) -> None:
    module = nn.BatchNorm1d(20_000)
    packed = frozen(pack((module, torch.rand(LARGE))), tmp_path)
    before = [array.copy() for array in packed.arrays]
    arrived, _ = unpack(packed)
    with torch.no_grad():
        arrived.weight.add_(1)
        arrived.running_mean.add_(1)
    assert all(np.array_equal(left, right) for left, right in zip(packed.arrays, before, strict=True))
    assert arrived.weight.mean() == 2


def test_data_is_not_copied_where_arrays_are_read_only(tmp_path: Path) -> None:
    packed = frozen(pack(torch.rand(LARGE)), tmp_path)
    assert unpack(packed).data_ptr() == packed.arrays[0].ctypes.data


def test_gradients_optimizer_states_and_generators_arrive(travel: Callable[[Any], Any]) -> None:
    module = nn.Linear(300, 300)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.rand(4, 300)).sum().backward()
    optimizer.step()
    generator = torch.Generator().manual_seed(3)
    arrived, state, other = travel((module, optimizer.state_dict(), generator))
    assert torch.equal(arrived.weight, module.weight)
    assert arrived.weight.requires_grad
    assert torch.equal(state["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"])
    assert torch.equal(torch.rand(5, generator=other), torch.rand(5, generator=generator))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(LARGE).reshape(200, 200),
        np.asfortranarray(np.arange(LARGE).reshape(200, 200)),
        np.arange(LARGE * 4)[::2],
        np.arange(LARGE).astype("datetime64[s]"),
        np.array(["word"] * LARGE),
        np.array([{"a": 1}] * LARGE, dtype=object),
        np.zeros(LARGE, dtype=[("user", "i4"), ("rating", "f4")]),
    ],
    ids=["c", "fortran", "strided", "datetime", "text", "object", "structured"],
)
def test_arrays_arrive(array: np.ndarray, travel: Callable[[Any], Any]) -> None:
    arrived = travel(array)
    assert type(arrived) is np.ndarray
    assert arrived.dtype == array.dtype
    assert np.array_equal(arrived, array)


def test_an_array_that_appears_twice_is_kept_once(tmp_path: Path) -> None:
    array = np.ones(LARGE)
    packed = through_files(pack([array, array]), tmp_path)
    first, second = unpack(packed)
    assert len(packed.arrays) == 1
    assert first is second


def test_tables_arrive(travel: Callable[[Any], Any]) -> None:
    table = pd.DataFrame({"user": np.arange(LARGE), "item": np.arange(LARGE), "name": ["a", "b"] * (LARGE // 2)})
    pd.testing.assert_frame_equal(travel(table), table)


def test_sparse_tensors_arrive(travel: Callable[[Any], Any]) -> None:
    sparse = torch.eye(LARGE // 10).to_sparse()
    arrived = travel(sparse)
    assert torch.equal(arrived.to_dense(), sparse.to_dense())


def test_functions_of_scripts_and_partials_arrive(travel: Callable[[Any], Any]) -> None:
    weight = torch.rand(LARGE)
    function = travel(functools.partial(lambda values, scale: (values * scale).sum(), weight))
    assert function(2.0) == (weight * 2).sum()


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        read_packed(tmp_path / "gone")
