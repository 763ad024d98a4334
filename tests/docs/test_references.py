"""Links lead somewhere, every part of the project has its page, and every paper its citation."""

import re
from pathlib import Path

import pytest
import yaml

from lightning_modules import agents, losses, multitask, recommenders
from lightning_modules.agents import ActorCritic
from lightning_modules.losses import ListwiseLoss, Loss
from lightning_modules.multitask import MultiTaskModel, TaskWeighting
from lightning_modules.multitask.metrics import NAMES as MULTITASK_METRICS
from lightning_modules.recommenders import CatalogueRecommender, Recommender
from lightning_modules.recommenders.metrics import NAMES as RECOMMENDER_METRICS
from lightning_modules.search import strategies
from lightning_modules.search.strategies import Strategy
from lightning_modules.statistics.top_n import METRICS as TOP_N_METRICS
from tests.docs.pages import DOCS, REPOSITORY

PAGES = [*sorted(DOCS.rglob("*.md")), *(REPOSITORY / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG"))]
ALGORITHMS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((DOCS / "algorithms").glob("*.md"))}
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")


def links(path: Path) -> list[str]:
    return [match["target"] for match in _LINK.finditer(path.read_text(encoding="utf-8"))]


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def offered(package: object, base: type) -> list[str]:
    """Return the names of a package's classes below a base that can be built."""
    found = [each for each in vars(package).values() if isinstance(each, type) and issubclass(each, base)]
    return [each.__name__ for each in found if each is not base and not getattr(each, "__abstractmethods__", None)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    inside = [link for link in links(page) if not link.startswith("http")]
    for link in inside:
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_index() -> None:
    index = {(DOCS / link).resolve() for link in links(DOCS / "README.md")}
    assert {path for path in DOCS.rglob("*.md") if path.name != "README.md"} <= index


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_modules_that_pages_name_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if page.stem.endswith("_names"):
        # Names of published code, beside their counterparts here.
        text = re.sub(r"^\| .*? \| ", "", text, flags=re.MULTILINE)
    named = {name for name in re.findall(r"`([a-z_]+/[\w/]+\.py)`", text) if not name.startswith("own/")}
    roots = (REPOSITORY, REPOSITORY / "lightning_modules")
    assert {name for name in named if not any((root / name).is_file() for root in roots)} == set()


@pytest.mark.parametrize(
    ("page", "package", "base"),
    [
        ("loss_search", strategies, Strategy),
        ("recommenders", recommenders, Recommender),
        ("recommenders", recommenders, CatalogueRecommender),
        ("recommenders", losses, Loss),
        ("listwise_losses", losses, ListwiseLoss),
        ("multitask", multitask, MultiTaskModel),
        ("task_weighting", multitask, TaskWeighting),
        ("agents", agents, ActorCritic),
    ],
)
def test_everything_has_its_page(page: str, package: object, base: type) -> None:
    names = offered(package, base)
    assert names
    missing = [name for name in names if not re.search(rf"\b{name}\b", ALGORITHMS[page])]
    assert not missing


def test_every_metric_is_explained() -> None:
    names = (*RECOMMENDER_METRICS, *MULTITASK_METRICS, *TOP_N_METRICS, "coverage", "popularity")
    assert not [name for name in names if f"`{name}`" not in ALGORITHMS["metrics"]]


def test_operators_are_those_of_the_formulas() -> None:
    rows = re.findall(r"^\| [\d, to]+ \| (.*?) \|", ALGORITHMS["loss_search"], flags=re.MULTILINE)
    assert [name for row in rows for name in row.split(", ")] == [operator.name for operator in losses.OPERATORS]


def test_every_paper_of_the_pages_is_cited() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    known = {paper.get("url") or f"https://doi.org/{paper['doi']}" for paper in citation["references"]}
    assert all(paper["title"] and paper["authors"] for paper in citation["references"])
    found = [link for text in ALGORITHMS.values() for link in _LINK.findall(text)]
    papers = {link for link in found if re.search("arxiv|doi|jmlr|jstor", link)}
    assert papers
    assert papers <= known


def test_hooks_run_what_ci_runs() -> None:
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    script = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    ran = script.split("requirements.txt\n")[-1].split("\n")
    checks = [hook["entry"] for hook in hooks]
    assert checks[:-1] == [line.removesuffix(" &") for line in ran[: len(checks) - 1]]
    # Before a push the slow tests are left out.
    assert any(line.startswith(f'{checks[-1]} -m "" --numprocesses=3') for line in ran)
    # What fails beside the tests fails the script.
    assert script.endswith('wait "$types"\nexit "$tests"\n')
    contributing = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert all(hook["entry"] in contributing for hook in hooks)
