"""Configurations that come with the project are named from any folder, those that are there go first."""

from pathlib import Path

import pytest

from lightning_modules.cli.shipped_configs import with_shipped_configs

ROOT = Path(__file__).parents[2]
QUICK = str(ROOT / "configs" / "search" / "quickstart.yaml")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["search/quickstart.yaml", "configs/search/quickstart.yaml", QUICK])
def test_a_shipped_configuration_gets_its_whole_path(name: str) -> None:
    assert with_shipped_configs(["search", "--config", name, "-c", name]) == ["search", "--config", QUICK, "-c", QUICK]
    assert with_shipped_configs(["search", f"--config={name}"]) == ["search", f"--config={QUICK}"]


@pytest.mark.parametrize("name", ["none.yaml", "search/none.yaml", "../configs/search/quickstart.yaml", "search", ""])
def test_other_names_stay(name: str) -> None:
    assert with_shipped_configs(["search", "--config", name]) == ["search", "--config", name]
    assert with_shipped_configs(["search", "--root", QUICK, "--config"]) == ["search", "--root", QUICK, "--config"]


def test_a_file_that_is_there_goes_first(elsewhere: Path) -> None:
    (elsewhere / "search").mkdir()
    (elsewhere / "search" / "quickstart.yaml").touch()
    arguments = ["search", "--config", "search/quickstart.yaml"]
    assert with_shipped_configs(arguments) == arguments
