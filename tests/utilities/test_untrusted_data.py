"""YAML of unknown origin is read within bounds."""

import os
from pathlib import Path

import pytest
import yaml

from lightning_modules.utilities.untrusted_data import SettingsError, check_bounds, read_settings

BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
)
REFUSED = {
    BOMB: "more than 100,000 values",
    "a: &a [*a]": "holds itself",
    "model: &m {class_path: X, init_args: *m}": "holds itself",
    "a: " + "{a: " * 200 + "1" + "}" * 200: "inside each other",
    "\n".join(" " * depth + "a:" for depth in range(200)): "inside each other",
    "a: " + "x" * 2_000_001: "characters",
    "\n".join(f"k{n}: 1" for n in range(60_000)): "more than 100,000 values",
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_is_out_of_bounds_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=reason):
        check_bounds(text)
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(SettingsError, match=rf"config.yaml' cannot be read as settings: .*{reason}"):
        read_settings(tmp_path / "config.yaml")


def test_settings_are_read_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    text = "a: &a {b: [1, 2.5, true, null, x]}\nc: *a\nd: {<<: *a, e: '1'}\n"
    path.write_text(text)
    assert read_settings(path) == yaml.safe_load(text)


@pytest.mark.parametrize(
    "text", ["a: !!python/object/apply:os.system [true]", "? [1]\n: 2", "n: " + "9" * 5000, "a: [", "a:\n\t- b"]
)
def test_what_is_no_settings_is_refused_with_the_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(SettingsError, match=r"config.yaml' cannot be read as settings: ."):
        read_settings(tmp_path / "config.yaml")


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.yaml")
    with pytest.raises(SettingsError, match="a pipe or a device"):
        read_settings(tmp_path / "config.yaml")
