"""A setting is found in its file, with the line on which it stands."""

import os
from pathlib import Path

import pytest

from lightning_modules.cli.config_places import ConfigFile, last_place

TEXT = """
model:
  class_path: MF
  init_args:
    loss:
      class_path: PSL
      init_args: {temperature: 0.1,
        margin: 2}
trainer:
  callbacks:
  - class_path: EarlyStopping
    init_args:
      monitor: val/auc
"""


def file(text: str, name: str = "own.yaml") -> ConfigFile:
    Path(name).write_text(text)
    return ConfigFile(name, Path(name).absolute())


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("model", 2),
        ("model.loss", 5),
        ("model.loss.margin", 8),
        ("trainer.callbacks.monitor", 13),
        ("callbacks", 10),
        ("loss.init_args", None),
        ("odel", None),
        ("", None),
    ],
)
def test_the_line_of_a_key(key: str, line: int | None) -> None:
    own = file(TEXT)
    assert own.line(key) == line
    assert own.place(key) == (f"own.yaml, line {line}: " if line else "own.yaml: ")


def test_the_last_file_with_a_key_counts() -> None:
    files = [file("a: 1\n", "first.yaml"), file("b: 1\na: 2\n", "second.yaml"), file("b: 2\n", "third.yaml")]
    assert last_place(files, "a") == "second.yaml, line 2: "
    assert last_place(files, "c") == ""


@pytest.mark.parametrize("text", ["", "a", "[1, 2]", "a: [", "a: &x 1\nb: *x\n", "? [1]\n: 2\n"])
def test_a_file_of_anything_has_no_such_line(text: str) -> None:
    assert file(text).line("missing") is None


@pytest.mark.timeout(10)
def test_a_pipe_is_not_read_again() -> None:
    os.mkfifo("pipe")
    assert ConfigFile("pipe", Path("pipe").absolute()).place("a") == "pipe: "
