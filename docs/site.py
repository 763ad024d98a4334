"""Hooks of MkDocs: pages of the repository at their own paths, the reference, tables of results, and the notebook.

Every page keeps the path that it has in the repository, so that its links lead the same way in both.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md", "docs/site.css", "benchmarks/results/*.md")
RESULTS, NOTEBOOK = "benchmarks/results", "docs/notebook"
#: Pages of the reference: title, and the package whose names it documents.
REFERENCE = {
    "lossmith": ("The package lossmith", "lossmith"),
    "losses": ("Losses", "lightning_modules.losses"),
    "recommenders": ("Recommenders", "lightning_modules.recommenders"),
    "multitask": ("Multi-task models", "lightning_modules.multitask"),
    "agents": ("Agents", "lightning_modules.agents"),
    "strategies": ("Strategies of a search", "lightning_modules.search.strategies"),
    "datamodules": ("Data", "datamodules"),
    "callbacks": ("Callbacks", "callbacks"),
}
_LINK = re.compile(r"\]\((?P<target>[^)\s:#]+)(?:#[^)\s]*)?\)")
_FOLDER = re.compile(r"(\]\([^)\s:]+/)\)")
#: References of docstrings, such as :class:`MF`, as they are rendered.
_ROLE = re.compile(r":(?:class|func|meth|mod|attr):(?=<code>)(<code>)~?")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return the theme's files and the site's own, those of the repository in place of those of ``docs_dir``."""
    documents = Path(config.docs_dir)
    of_theme = [each for each in files if not Path(each.abs_src_path or "/").is_relative_to(documents)]
    pages = sorted(path for pattern in PAGES for path in REPOSITORY.glob(pattern))
    paths = dict.fromkeys([*pages, *(target for page in pages for target in _linked(page))])
    stored = [_stored(config, path) for path in paths]
    made = [File.generated(config, path, content=text) for path, text in _made().items()]
    return Files([*of_theme, *stored, *made])


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Let links to folders lead to their first pages."""
    return _FOLDER.sub(r"\1README.md)", markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Show references of docstrings as the names alone."""
    return _ROLE.sub(r"\1", html)


def _stored(config: MkDocsConfig, path: Path) -> File:
    return File.generated(config, path.relative_to(REPOSITORY).as_posix(), abs_src_path=str(path))


def _linked(page: Path) -> Iterator[Path]:
    """Yield the files that are no pages and that a page links to, such as pictures and configurations."""
    for match in _LINK.finditer(page.read_text(encoding="utf-8")):
        target = (page.parent / match["target"]).resolve()
        if target.is_file() and target.suffix != ".md" and target.is_relative_to(REPOSITORY):
            yield target


def _made() -> dict[str, str]:
    """Return the pages that are made of other files, by their paths."""
    reference = {f"docs/reference/{name}.md": _reference(*each) for name, each in REFERENCE.items()}
    notebook = REPOSITORY / f"{NOTEBOOK}.ipynb"
    return {**reference, f"{RESULTS}/README.md": _results(), f"{NOTEBOOK}.md": _of_notebook(notebook)}


def _reference(title: str, package: str) -> str:
    """Return a page with every name that a package offers."""
    path = REPOSITORY / package.replace(".", "/") / "__init__.py"
    assignments = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.Assign)]
    offered = next(node.value for node in assignments if ast.unparse(node.targets[0]) == "__all__")
    directives = [f"::: {package}.{name}" for name in sorted(ast.literal_eval(offered), key=str.lower)]
    return "\n\n".join([f"# {title}", f"`from {package} import ...`", *directives, ""])


def _results() -> str:
    """Return a list of all tables of measurements, by their titles."""
    lines = ["# All measurements", "", "Each with its command, seeds and machine.", ""]
    for path in sorted((REPOSITORY / RESULTS).glob("*.md")):
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        lines.append(f"- [{title}]({path.name}) (`{path.stem}`)")
    return "\n".join([*lines, ""])


def _of_notebook(path: Path) -> str:
    """Return the cells of a notebook as a page."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = [("".join(cell["source"]), cell["cell_type"] == "code") for cell in cells]
    return "\n\n".join([f"```python\n{text}\n```" if is_code else text for text, is_code in texts] + [""])
