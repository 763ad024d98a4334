from pathlib import Path

import pytest
from hypothesis import settings

from tests.agents.stored_agents import write_agent
from tests.losses.loss_cases import AGENT
from tests.multitask.multitask_helpers import FIELD_SIZES, TASKS

# Every run draws the same examples, and a busy machine fails no test.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def folder_with_agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("agent")
    write_agent(folder / AGENT, FIELD_SIZES, 2, TASKS[:2])
    return folder


@pytest.fixture
def stored_agent(folder_with_agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a folder with the agent that weighted losses name."""
    monkeypatch.chdir(folder_with_agent)
