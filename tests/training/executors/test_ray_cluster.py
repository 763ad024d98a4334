import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_modules.training.executors import RayExecutor, Shared
from tests.training.executors import executor_calls as calls

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes, the driver's with one core and a GPU that is there by name only."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 1})
    cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def executor(cluster: Any) -> Iterator[RayExecutor]:
    with RayExecutor(address=cluster.address) as executor:
        yield executor


def test_every_core_is_a_slot(executor: RayExecutor) -> None:
    assert executor.slots == 3


def test_children_share_a_gpu(executor: RayExecutor) -> None:
    with RayExecutor(gpus_per_child=0.25) as sharing:
        assert sharing.slots == 1
        assert sharing.submit(calls.describe).result()["device"] == "0"


def test_calls_that_a_lost_node_took_along_are_run_again(cluster: Any, executor: RayExecutor, tmp_path: Path) -> None:
    (node,) = cluster.worker_nodes
    shared = executor.share(torch.ones(100_000))
    futures = [executor.submit(note_and_add, str(tmp_path), number, shared) for number in range(8)]
    assert wait_until(lambda: len(runs_on(tmp_path, node.node_id)) >= 2)
    cluster.remove_node(node, allow_graceful=False)
    for number, future in enumerate(futures):
        assert torch.equal(future.result(), torch.full((100_000,), 1.0 + number))
    lost, kept = runs_on(tmp_path, node.node_id), set(range(8))
    assert kept - lost, "the driver's node had work, too"
    again = {number for number in lost if len(list(tmp_path.glob(f"{number}.*"))) == 2}
    assert again, "the node was lost while calls ran on it"


def note_and_add(folder: str, number: int, shared: Shared[torch.Tensor]) -> torch.Tensor:
    import ray

    (Path(folder) / f"{number}.{ray.get_runtime_context().get_node_id()}").touch()
    time.sleep(1)
    return shared.get() + number


def runs_on(folder: Path, node: str) -> set[int]:
    return {int(path.name.split(".")[0]) for path in folder.glob(f"*.{node}")}


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()
