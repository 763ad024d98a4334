"""Imports go one way: models know losses and layers, which know nobody; data and callbacks know no search."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("lightning_modules", "datamodules", "callbacks", "lossmith")

#: What learns, in its order: a room knows rooms above it alone, and those that are named.
MODELS = {"recommenders", "multitask", "agents"}
ALLOWED = {
    "utilities": set(),
    "statistics": {"utilities"},
    "datamodules": {"utilities"},
    "callbacks": {"utilities"},
    "losses": {"utilities"},
    "optimizers": {"utilities"},
    "core": {"utilities", "losses", "optimizers", "datamodules"},
    "layers": {"utilities", "core"},
    "recommenders": {"utilities", "statistics", "losses", "optimizers", "core", "layers", "datamodules"},
    "multitask": {"utilities", "statistics", "losses", "core", "layers", "datamodules", "callbacks"},
    "agents": {"utilities", "losses", "core", "layers", "multitask", "datamodules", "callbacks"},
    "populations": {"utilities", "statistics", "losses", "optimizers", "core", "layers", "recommenders", "datamodules"},
    "training": {"utilities", "statistics", "losses", "populations", "callbacks"},
    "search": {"utilities", "statistics", "losses", "core", "populations", "training", "callbacks"},
    "check": {"utilities", "losses", "search"},
    "compare": {"utilities", "statistics", "losses", "core", "training", "search", "check", "callbacks"},
    "polish": {
        "utilities",
        "statistics",
        "losses",
        "core",
        "training",
        "multitask",
        "agents",
        "datamodules",
        "callbacks",
    },
    "export": {"utilities", "losses", "core", "training", *MODELS, "search"},
    "report": {"utilities", "losses", "core", "statistics", "search", "check", "compare", "polish", "export"},
    "cli": {
        *("utilities", "losses", "core", "training", "datamodules", "callbacks"),
        *MODELS,
        *("search", "check", "compare", "polish", "report", "export"),
    },
    "lossmith": {"utilities", "losses", "search", "check", "compare", "report", "cli", "datamodules"},
}


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


def room_of(module: str) -> str:
    """Return the room that a module is in: a package right below lightning_modules, or datamodules or callbacks."""
    parts = module.split(".")
    return parts[1] if parts[0] == "lightning_modules" and len(parts) > 1 else parts[0]


PATHS = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MODULES = {module_of(path) for path in PATHS}
IMPORTS = {module_of(path): {name for name in imported_modules(path) if name in MODULES} for path in PATHS}
ROOM_IMPORTS: dict[str, set[str]] = {}
for module, imported in IMPORTS.items():
    ROOM_IMPORTS.setdefault(room_of(module), set()).update({room_of(each) for each in imported} - {room_of(module)})


@pytest.mark.parametrize("graph", [IMPORTS, ROOM_IMPORTS], ids=["modules", "rooms"])
def test_there_are_no_circles(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_every_module_is_in_a_room() -> None:
    assert {*ROOM_IMPORTS} - {"lightning_modules"} == {*ALLOWED}


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_knows_those_that_it_may_know(room: str) -> None:
    assert ROOM_IMPORTS[room] == ALLOWED[room]


def test_no_class_name_occurs_twice() -> None:
    found: dict[str, list[str]] = {}
    for path in PATHS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(module_of(path))
    assert {name: modules for name, modules in found.items() if len(modules) > 1} == {}
