"""What is said of critics on the rows that they weigh."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_modules.polish.critic_fitting import LEAST_SPREAD, values
from tests.agents.stored_agents import write_agent
from tests.polish.polish_helpers import polish, save, small_data

DATA = small_data()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    write_agent(tmp_path / "agent.ckpt", DATA.field_sizes, DATA.num_numerical, DATA.tasks)
    return tmp_path / "agent.ckpt"


def flatten(checkpoint: Path, task: int) -> None:
    """Let the last layer of a task's critic answer the same whatever it is asked."""
    stored = torch.load(checkpoint, weights_only=True)
    names = [name for name in stored["state_dict"] if name.startswith(f"critics.of_tasks.{task}.")]
    stored["state_dict"][[name for name in names if name.endswith("weight")][-1]].zero_()
    torch.save(stored, checkpoint)


def test_mean_and_spread_are_those_of_all_rows(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    critics = write_agent(checkpoint, DATA.field_sizes, DATA.num_numerical, DATA.tasks)
    rows = DATA.test_dataloader().rows
    probability = torch.rand(rows.label.shape, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr("lightning_modules.polish.critic_fitting._CHUNK", 7)
    found = values(checkpoint, rows, probability)
    assert list(found) == ["click", "conversion"]
    for task, critic in enumerate(critics):
        with torch.no_grad():
            value = critic(rows.categorical, rows.numerical, probability[:, task])
        mean, spread = found[DATA.tasks[task]]
        assert mean == pytest.approx(float(value.mean()), abs=1e-6)
        assert spread == pytest.approx(float(value.std(correction=0)), abs=1e-6)
        assert spread > LEAST_SPREAD


@pytest.mark.parametrize("flat", [0, 1])
def test_a_critic_that_does_not_vary_is_told_of(flat: int, tmp_path: Path, checkpoint: Path) -> None:
    flatten(checkpoint, flat)
    given: dict[str, Any] = {"critics": str(checkpoint), "variants": ["minus_q"], "from_scratch": False, "seeds": 1}
    remarks = polish(tmp_path / "run", **given).run(save).remarks
    notes = [remark for remark in remarks if "the critic of" in remark]
    assert [note.endswith("± 0.000 over test rows; it weighs all rows alike") for note in notes] == [
        flat == 0,
        flat == 1,
    ]
