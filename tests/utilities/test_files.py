import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from lightning_modules.utilities.files import full_disk_explained, load_arrays, replace_file, save_arrays


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file_is_there_under_its_name_alone(tmp_path: Path) -> None:
    replace_file(tmp_path / "a.csv", lambda path: path.write_text("new"))
    assert (tmp_path / "a.csv").read_text() == "new"
    assert names(tmp_path) == ["a.csv"]


def test_until_the_new_file_is_whole_the_old_one_is_there(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_text("old")
    seen = []

    def write(path: Path) -> None:
        path.write_text("half")
        seen.append(target.read_text())
        path.write_text("new")

    replace_file(target, write)
    assert seen == ["old"]
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError("full"), KeyboardInterrupt()], ids=["error", "interrupt"])
@pytest.mark.parametrize("exists", [True, False])
def test_what_goes_wrong_while_writing_leaves_everything_as_it_was(
    tmp_path: Path, exists: bool, error: BaseException
) -> None:
    target = tmp_path / "a.csv"
    if exists:
        target.write_text("old")

    def write(path: Path) -> None:
        path.write_text("half")
        raise error

    with pytest.raises(type(error)):
        replace_file(target, write)
    assert names(tmp_path) == ["a.csv"] * exists
    assert not exists or target.read_text() == "old"


def test_nothing_written_is_an_error_and_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_text("old")
    with pytest.raises(FileNotFoundError):
        replace_file(target, lambda path: None)
    assert target.read_text() == "old"


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "absent" / "a.csv", lambda path: path.write_text("new"))


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6, dtype=np.int64).reshape(2, 3), "b": np.array([0.1, np.nan], dtype=np.float32)}
    save_arrays(tmp_path / "a.npz", arrays)
    found = load_arrays(tmp_path / "a.npz")
    assert list(found) == ["a", "b"]
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    save_arrays(tmp_path / "a.npz", {"c": np.zeros(1)})
    assert list(load_arrays(tmp_path / "a.npz")) == ["c"]
    assert names(tmp_path) == ["a.npz"]


def test_objects_are_neither_written_nor_read(tmp_path: Path) -> None:
    objects = np.array([{}, None], dtype=object)
    with pytest.raises(ValueError, match="array 'a' holds objects, which are not pickled"):
        save_arrays(tmp_path / "a.npz", {"a": objects})
    assert names(tmp_path) == []
    np.savez(tmp_path / "a.npz", a=objects)
    with pytest.raises(ValueError, match=r"a.npz is damaged, or no file of arrays: .*allow_pickle"):
        load_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", None], ids=["empty", "text", "torn"])
def test_what_is_no_file_of_arrays_is_told(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    save_arrays(path, {"a": np.arange(1000)})
    path.write_bytes(path.read_bytes()[:200] if content is None else content)
    with pytest.raises(ValueError, match=r"a.npz is damaged, or no file of arrays"):
        load_arrays(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        load_arrays(path)


def test_of_a_link_the_file_that_it_names_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "a.csv", tmp_path / "a.csv"
    target.write_text("old")
    link.symlink_to(target)
    replace_file(link, lambda path: path.write_text("new"))
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert names(tmp_path / "elsewhere") == ["a.csv"]
    target.unlink()
    replace_file(link, lambda path: path.write_text("newer"))
    assert (link.is_symlink(), target.read_text()) == (True, "newer")


def test_a_pipe_is_left_as_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link"):
        with pytest.raises(ValueError, match=rf"{name}' is a device or a pipe and no file"):
            replace_file(tmp_path / name, lambda path: path.write_text("new"))
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert names(tmp_path) == ["link", "pipe"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_left_as_it_is(tmp_path: Path) -> None:
    node = tmp_path / "null"
    try:
        os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("devices cannot be made here")
    with pytest.raises(ValueError, match="is a device or a pipe"):
        replace_file(node, lambda path: path.write_text("new"))
    assert stat.S_ISCHR(node.stat().st_mode)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"' is a folder and no file"):
        replace_file(tmp_path, lambda path: path.write_text("new"))


def test_permissions_stay(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    (tmp_path / "a.csv").chmod(0o640)
    replace_file(tmp_path / "a.csv", lambda path: path.write_text("new"))
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == 0o640


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_names_the_file_and_what_to_do(tmp_path: Path, number: int) -> None:
    def write(path: Path) -> None:
        path.write_text("half")
        raise OSError(number, os.strerror(number))

    with (
        pytest.raises(OSError, match=rf"^'{tmp_path / 'a.csv'}' cannot be written: .*\. Free some space$"),
        full_disk_explained("it", "Free some space"),
    ):
        replace_file(tmp_path / "a.csv", write)
    assert names(tmp_path) == []


def test_other_errors_are_left_as_they_are() -> None:
    with pytest.raises(PermissionError, match="no way in"), full_disk_explained("it", "Free some space"):
        raise PermissionError(errno.EACCES, "no way in")
