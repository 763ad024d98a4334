"""What a checkpoint holds is read, and nothing that it names is run or imported."""

import sys
from pathlib import Path

import pytest
import torch

from lightning_modules.losses import MSE, Loss
from lightning_modules.utilities.serialization import imported_class, load_checkpoint


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.arange(3.0)}, "epoch": 2}, tmp_path / "last.ckpt")
    found = load_checkpoint(tmp_path / "last.ckpt", "")
    assert found["epoch"] == 2
    assert found["state_dict"]["weight"].tolist() == [0, 1, 2]


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint '.*last.ckpt'; train one"):
        load_checkpoint(tmp_path / "last.ckpt", "train one")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match=r"last.ckpt' cannot be read as a checkpoint.+; train one"):
        load_checkpoint(tmp_path / "last.ckpt", "train one")


class Touching:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_no_object_of_a_checkpoint_is_built(tmp_path: Path) -> None:
    torch.save({"state_dict": Touching(tmp_path / "touched")}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        load_checkpoint(tmp_path / "last.ckpt", "")
    assert not (tmp_path / "touched").exists()


def test_classes_are_found_by_their_path_where_they_are_of_the_kind() -> None:
    assert imported_class("lightning_modules.losses.MSE", Loss) is MSE
    assert imported_class("lightning_modules.losses.Formula", Loss) is None
    assert imported_class("lightning_modules.losses.NoSuchLoss", Loss) is None
    assert imported_class("MSE", Loss) is None
    assert imported_class("", Loss) is None


def test_no_module_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "their_losses.py").write_text("from lightning_modules.losses import MSE as Theirs\n")
    assert imported_class("their_losses.Theirs", Loss) is None
    assert "their_losses" not in sys.modules
