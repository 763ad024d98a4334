"""What is installed is said in pyproject.toml; requirements.txt pins versions within its ranges."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
PACKAGES = ("lightning_modules", "datamodules", "callbacks", "lossmith")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
#: Modules that carry another name than what is installed, or come with it.
INSTALLED_AS = {
    "yaml": "pyyaml",
    "pytorch_lightning": "pytorch-lightning",
    "lightning_fabric": "pytorch-lightning",
    "docstring_parser": "jsonargparse",
}


def requirements(lines: list[str]) -> dict[str, Requirement]:
    parsed = [Requirement(line) for line in lines]
    return {each.name: each for each in parsed}


def printed(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / ".ci" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


RANGES = requirements([*PROJECT["dependencies"], *EXTRAS["onnx"], *EXTRAS["dev"]])
DOCS = requirements(EXTRAS["docs"])
PINS = requirements(re.findall(r"^[a-z].*$", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE))
DOCS_PINS = requirements(re.findall(r"^[a-z].*$", (ROOT / "docs" / "requirements.txt").read_text(), re.MULTILINE))


def version(requirement: Requirement) -> str:
    (exact,) = requirement.specifier
    assert exact.operator == "=="
    return exact.version


@pytest.mark.parametrize(("pins", "ranges"), [(PINS, RANGES), (DOCS_PINS, DOCS)], ids=["checkout", "site"])
def test_every_pin_is_within_its_range(pins: dict[str, Requirement], ranges: dict[str, Requirement]) -> None:
    assert pins.keys() == ranges.keys()
    assert [name for name, pin in pins.items() if version(pin) not in ranges[name].specifier] == []
    assert [name for name, pin in pins.items() if pin.extras != ranges[name].extras] == []


def test_every_range_is_bounded_on_both_sides() -> None:
    ranges = {**RANGES, **DOCS, **requirements([*EXTRAS["ray"], *EXTRAS["torchjd"]])}
    operators = {name: sorted(each.operator for each in requirement.specifier) for name, requirement in ranges.items()}
    assert {name: found for name, found in operators.items() if found not in (["<", ">="], ["=="])} == {}


def test_the_lowest_versions_are_the_lower_bounds() -> None:
    lowest = requirements(printed("lowest").stdout.splitlines())
    assert lowest.keys() == RANGES.keys()
    for name, requirement in lowest.items():
        assert version(requirement) in RANGES[name].specifier
        below = SpecifierSet(f"<{version(requirement)}")
        assert not [each for each in RANGES[name].specifier if each.operator == ">=" and each.version in below]


def test_what_the_packages_import_is_installed_with_them() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    modules = {name.partition(".")[0] for name in names} - {*sys.stdlib_module_names, *PACKAGES}
    declared = {*requirements(PROJECT["dependencies"]), *requirements([*EXTRAS["onnx"], *EXTRAS["ray"]])}
    assert {INSTALLED_AS.get(name, name) for name in modules} <= declared


def test_the_packages_say_that_they_are_typed() -> None:
    assert all((ROOT / name / "py.typed").is_file() for name in PACKAGES)


def test_release_notes_are_the_section_of_a_version() -> None:
    notes = printed("release_notes", f"v{PROJECT['version']}")
    assert notes.returncode == 0
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert notes.stdout.strip() in changelog
    assert "### " in notes.stdout
    assert "\n## " not in notes.stdout


def test_release_notes_of_an_unknown_version_are_refused() -> None:
    notes = printed("release_notes", "9.9.9")
    assert notes.returncode == 1
    assert "CHANGELOG.md has no section '## 9.9.9'" in notes.stderr


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_workflow_runs_every_python_that_is_promised(python: str) -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert f'"{python}"' in workflow
    assert f"Programming Language :: Python :: {python}" in PROJECT["classifiers"]
    assert "run: .ci/run" in workflow
