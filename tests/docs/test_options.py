"""Options that pages name in passing exist."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest
import pytorch_lightning as pl
import torch

import datamodules
from lightning_modules import agents, losses, multitask, recommenders
from lightning_modules.cli.subcommands import OWN_VERBS
from lightning_modules.search import space, strategies
from lightning_modules.search.reward_tuning import RewardTuning
from tests.docs.pages import DOCS, REPOSITORY

# What was tried holds typos on purpose.
PAGES = [
    *(REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"),
    *(page for page in sorted(DOCS.rglob("*.md")) if page.stem != "tried"),
]
_SPAN = re.compile(r"`([^`\n]*\n?[^`\n]*)`")
_OPTION = re.compile(r"(?<![\w-])--([A-Za-z_][\w.]*)")
_GENERAL = {"config", "help", "print_config", "debug", "ckpt_path", "seed_everything"}
_GENERAL |= {"predict.output", "predict.logits", "predict.top_k"}
#: Of TensorBoard, ray and Docker.
_OTHERS = {"logdir", "head", "num", "address", "build", "rm"}


def arguments(*packages: ModuleType) -> set[str]:
    """Return the names of the arguments of all classes in packages, those that go to a base class included."""
    classes = {base for package in packages for each in vars(package).values() for base in getattr(each, "__mro__", ())}
    own = [each for each in (*classes, torch.optim.Adam) if inspect.isfunction(vars(each).get("__init__"))]
    return {name for each in own for name in inspect.signature(vars(each)["__init__"]).parameters}


def settings() -> Iterator[str]:
    """Yield the verbs' own options, as they may be written."""
    for verb in OWN_VERBS.values():
        for field in fields(verb.settings):
            yield from (field.name, f"{verb.prefix}{field.name}")


#: What the parts of a dotted option may be, by its first one.
PARTS = {
    "trainer": set(inspect.signature(pl.Trainer).parameters),
    "model": arguments(agents, losses, multitask, recommenders) | {"help", "init_args"},
    "data": arguments(datamodules) | {"help", "init_args"},
    "space": arguments(space),
    "strategy": arguments(strategies),
    "tuning": {field.name for field in fields(RewardTuning)},
    "search": arguments(space, strategies) | {field.name for field in fields(OWN_VERBS["search"].settings)},
}
WHOLE = {*settings(), *PARTS, *_GENERAL, *_OTHERS}


def exists(option: str) -> bool:
    first, *rest = option.rstrip(".").split(".")
    return option.rstrip(".") in WHOLE or (bool(rest) and all(part in PARTS.get(first, ()) for part in rest))


def test_a_typo_is_found() -> None:
    assert exists("search.population")
    assert exists("model.optimizer.weight_decay")
    assert not any(exists(option) for option in ("search.populaton", "rouns", "trainer.max_epoch", "model.los"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_options_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    if page.stem.endswith("_names"):
        # Of published code, beside what stands for it here.
        text = re.sub(r"^\| .*? \| ", "", text, flags=re.MULTILINE)
    options = {option for span in _SPAN.findall(text) if "-m " not in span for option in _OPTION.findall(span)}
    assert {option for option in options if not exists(option)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_benchmarks_exist(page: Path) -> None:
    named = re.findall(r"python -m (benchmarks[.\w]*)", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (REPOSITORY / f"{name.replace('.', '/')}.py").exists()] == []
