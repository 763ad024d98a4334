from pathlib import Path

import pytest

from lightning_modules.files import replace_file


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
