"""The site of the documentation is built without a warning, and holds what it should."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, REPOSITORY

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="the site needs pip install -r docs/requirements.txt"
)


def built(folder: Path, config: Path = REPOSITORY / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = built(folder)
    # Strict: a link or an anchor that leads nowhere, and a name without a docstring, are errors.
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_of_the_repository_is_there(site: Path) -> None:
    pages = [*DOCS.rglob("*.md"), *(REPOSITORY / "benchmarks" / "results").glob("*.md")]
    paths = [page.relative_to(REPOSITORY).with_suffix("") for page in pages]
    missing = [path for path in paths if not (site / path / "index.html").is_file() and path.name != "README"]
    assert missing == []
    assert (site / "docs" / "notebook" / "index.html").is_file()
    assert (site / "benchmarks" / "results" / "index.html").is_file()


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    fetched = re.compile(r'<(?:script|img|iframe)[^>]* src="?http|<link[^>]* rel="?(?:stylesheet|preconnect)[^>]*http')
    assert [page for page in site.rglob("*.html") if fetched.search(page.read_text(encoding="utf-8"))] == []


def test_the_reference_shows_signatures_and_arguments(site: Path) -> None:
    text = (site / "docs" / "reference" / "recommenders" / "index.html").read_text(encoding="utf-8")
    assert 'id="lightning_modules.recommenders.LightGCN"' in text
    assert "num_users" in text
    assert ":class:" not in text


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# A\n\n[wrong](#nowhere)\n")
    kept = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8").splitlines()
    start = kept.index("validation:")
    config = ["site_name: A", "strict: true", *kept[start : kept.index("", start)]]
    (tmp_path / "mkdocs.yml").write_text("\n".join(config))
    done = built(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert done.returncode == 1
    assert "there is no such anchor" in done.stderr
