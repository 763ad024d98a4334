"""The wheel, installed in a folder of its own, does from another folder what a checkout does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("lightning_modules", "datamodules", "callbacks", "lossmith", "configs")
FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
SMALL = (
    *("--rounds", "1", "--candidates", "2", "--warmup_updates", "1", "--references=[]", "--tuning", "null"),
    *("--fused", "false", "--normalize_scale", "false", "--trainer.max_epochs", "1", "--data.num_interactions", "2000"),
)
BUILD = "from setuptools import build_meta; build_meta.build_wheel('.')"


def run(*command: str, folder: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, source)
    built = run(sys.executable, "-c", BUILD, folder=source)
    assert built.returncode == 0, built.stderr
    return next(source.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    options = ("--no-deps", "--no-index", "--no-compile", "--quiet", "--target", str(target))
    done = run(sys.executable, "-m", "pip", "install", *options, str(wheel), folder=target)
    assert done.returncode == 0, done.stderr
    return target


def lossmith(installed: Path, folder: Path, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, (before, str(installed))))
    return run(sys.executable, str(installed / "bin" / "lossmith"), *arguments, folder=folder, path=path)


def test_the_wheel_holds_packages_types_and_all_configurations(wheel: Path) -> None:
    held = set(ZipFile(wheel).namelist())
    configs = {f"lossmith/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")}
    typed = {f"{package}/py.typed" for package in SOURCES[:-1]}
    modules = {str(path.relative_to(ROOT)) for package in SOURCES[:-1] for path in (ROOT / package).rglob("*.py")}
    others = {"lightning_modules/cli/option_table.json", "lightning_modules/report/page.css"}
    assert configs | typed | modules | others <= held
    assert {name.partition("/")[0] for name in held} == {*SOURCES[:-1], "lossmith-0.1.0.dist-info"}


def test_a_search_from_another_folder_with_a_shipped_configuration(installed: Path, tmp_path: Path) -> None:
    command = ("search", "--config", "search/quickstart.yaml", *SMALL, "--finalists", "0", "--root", "study")
    done = lossmith(installed, tmp_path, *command)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "study" / "formulas.csv").is_file()
    assert not (tmp_path / "configs").exists()


def test_help_and_a_path_of_a_checkout_need_no_checkout(installed: Path, tmp_path: Path) -> None:
    shown = lossmith(installed, tmp_path, "search", "--help")
    assert shown.returncode == 0
    assert "usage: lossmith search" in shown.stdout
    assert "train.py" not in shown.stdout
    refused = lossmith(installed, tmp_path, "search", "--config", "configs/search/quickstart.yaml", "--search.rouds=3")
    assert "there is no option --search.rouds" in refused.stderr
    missing = lossmith(installed, tmp_path, "search", "--config", "search/none.yaml")
    assert "there is no file 'search/none.yaml'" in missing.stderr


@pytest.mark.parametrize("name", ["callbacks.py", "datamodules/__init__.py"])
def test_a_package_of_another_project_is_named(installed: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
    done = lossmith(installed, tmp_path, "search", "--help", before=str(tmp_path))
    assert done.returncode == 1
    assert f"'{tmp_path / name}' stands in the way of" in done.stderr
    assert "rename yours" in done.stderr
