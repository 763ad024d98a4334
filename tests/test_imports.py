"""Imports go one way: models know losses and layers, which know nobody; data and callbacks know no search."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("lightning_modules", "datamodules", "callbacks")

#: For a package of ours all others that it may import.
ALLOWED = {
    "datamodules": {"lightning_modules.utilities.files", "lightning_modules.utilities.progress"},
    "lightning_modules.losses": {"lightning_modules.utilities.serialization"},
    "lightning_modules.layers": {"lightning_modules.core.epoch_statistics"},
    "callbacks": {f"lightning_modules.{name}" for name in ("files", "finite_weights", "losses")},
}
MODELS = ("lightning_modules.recommenders", "lightning_modules.multitask", "lightning_modules.agents")
VERBS = tuple(f"lightning_modules.{name}" for name in ("search", "check", "compare", "polish", "export", "cli"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module


def package_of(module: str) -> str:
    """Return the package that an idea has to itself: a top one, or one (or a module) right below lightning_modules."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "lightning_modules" else parts[0]


PATHS = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MODULES = {module_of(path) for path in PATHS}
IMPORTS = {module_of(path): {name for name in imported_modules(path) if name in MODULES} for path in PATHS}
PACKAGE_IMPORTS: dict[str, set[str]] = {}
for module, imported in IMPORTS.items():
    package = package_of(module)
    PACKAGE_IMPORTS.setdefault(package, set()).update({package_of(each) for each in imported} - {package})


@pytest.mark.parametrize("graph", [IMPORTS, PACKAGE_IMPORTS], ids=["modules", "packages"])
def test_there_are_no_circles(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("package", ALLOWED)
def test_parts_know_only_what_they_may(package):
    assert PACKAGE_IMPORTS[package] <= ALLOWED[package]


@pytest.mark.parametrize("package", MODELS)
def test_models_know_no_verb(package):
    assert not PACKAGE_IMPORTS[package] & set(VERBS)


def test_search_knows_no_verb_and_no_agent():
    others = {*VERBS, "lightning_modules.agents", "lightning_modules.multitask"} - {"lightning_modules.search"}
    assert not PACKAGE_IMPORTS["lightning_modules.search"] & others


def test_only_the_entry_point_knows_the_command_line():
    knowing = [package for package, known in PACKAGE_IMPORTS.items() if "lightning_modules.cli" in known]
    assert not knowing
