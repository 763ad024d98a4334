"""Reads the code of a documentation page and runs it as a reader would: in a checkout, block by block."""

import multiprocessing
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from tests.blank_pictures import leave_pictures_blank

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
#: Pages that a reader follows from the first line to the last.
HOW_TO = [*sorted(DOCS.glob("add_*.md")), DOCS / "search_on_your_data.md"]

_FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^`(?P<path>[\w./-]+)`:\n\n\Z", re.MULTILINE)
#: What commands import but for the project, whose classes would be there twice where a page patches it.
_PRELOADED = ["pytorch_lightning.cli", "torch.utils.tensorboard", "pandas", "matplotlib.figure", "gymnasium", "numba"]
_PACKAGES = ("lightning_modules", "datamodules", "callbacks", "lossmith")
_CHECKOUT = ("train.py", "configs", *_PACKAGES)
_SECONDS = 240


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        language: Its language; ``text`` is what commands are said to print.
        text: The code.
        path: The file that the line before says it is; empty if it is to be run.
    """

    language: str
    text: str
    path: str


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        named = _FILE.search(text[: match.start()])
        yield Block(match["language"], match["text"], named["path"] if named else "")


@dataclass
class Reader:
    """Follows a page word by word.

    Attributes:
        folder: The reader's checkout.
        environment: What the reader has exported.
        output: Everything that was printed so far.
        patched: Whether the checkout differs from the repository.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    output: str = ""
    patched: bool = False

    def follow(self, block: Block) -> None:
        """Do what a block says; a command that fails raises an AssertionError with what it printed."""
        if block.path:
            path = self.folder / block.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "text":
            missing = [line for line in block.text.splitlines() if line.strip() not in self.output]
            assert not missing, f"not printed: {missing}\n{self.output}"
        elif block.language == "diff":
            self._call(["git", "apply", "-"], block.text)
            self.patched = True
        elif block.language == "python":
            (self.folder / "block.py").write_text(block.text, encoding="utf-8")
            self._python(["block.py"])
        elif block.language == "bash":
            self.commands(block.text)

    def commands(self, text: str) -> None:
        """Run commands, one a line, of which a backslash makes longer ones."""
        for line in text.replace("\\\n", " ").splitlines():
            for command in line.split(" && "):
                self._command(shlex.split(command, comments=True))

    def _command(self, words: list[str]) -> None:
        if words[:1] == ["export"]:
            self.environment |= [tuple(word.split("=", 1)) for word in words[1:]]  # type: ignore[arg-type]
        elif words[:1] == ["python"]:
            self._python(words[1:])
        elif words:
            self._call(words)

    def _call(self, words: list[str], given: str = "") -> None:
        done = subprocess.run(words, cwd=self.folder, input=given, capture_output=True, text=True, check=False)
        self.output += done.stdout + done.stderr
        assert done.returncode == 0, f"{words}: {done.stderr}"

    def _python(self, words: list[str]) -> None:
        log = self.folder / "output.log"
        process = _processes().Process(
            target=_run_script, args=(words, self.folder, self.environment, log, self.patched)
        )
        process.start()
        process.join(_SECONDS)
        printed = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        self.output += printed
        assert process.exitcode == 0, f"python {shlex.join(words)} ended with {process.exitcode}:\n{printed}"


def checkout(folder: Path) -> Path:
    """Copy what commands need of the repository into a folder and return it."""
    folder.mkdir(parents=True)
    for name in _CHECKOUT:
        subprocess.run(["cp", "-a", str(REPOSITORY / name), str(folder)], check=True)
    return folder


def _processes() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def _run_script(words: list[str], folder: Path, environment: dict[str, str], log: Path, patched: bool) -> None:
    """Become ``python WORDS``, started in a folder: libraries are imported, and so is the project unless patched."""
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    os.environ |= environment | {"OMP_NUM_THREADS": "1"}
    if not patched:
        for name in _PACKAGES:  # All of one checkout: lossmith refuses packages of another.
            import_module(name)
    own = environment.get("PYTHONPATH", "").split(os.pathsep)
    script = (folder / words[0]).resolve()
    kept = [path for path in sys.path if path and not _is_of_checkout(Path(path).resolve())]
    sys.path[:] = [str(script.parent), *(str(folder / path) for path in own if path), *kept]
    unwanted = ("tests", "conftest", *(_PACKAGES if patched else ()))
    for name in [each for each in sys.modules if each.partition(".")[0] in unwanted]:
        del sys.modules[name]
    sys.argv = words
    leave_pictures_blank(True)
    _one_thread()
    runpy.run_path(str(script), run_name="__main__")


def _is_of_checkout(path: Path) -> bool:
    # The environment may lie in the checkout.
    return path.is_relative_to(REPOSITORY) and not path.is_relative_to(Path(sys.prefix).resolve())


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
