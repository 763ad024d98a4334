"""Where a data set's tables lie, each a file or a folder of parts, and how a published archive is downloaded."""

import hashlib
import shutil
import tempfile
import urllib.request
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path

from lightning_modules.utilities.messages import listed

KINDS = (".csv", ".tsv", ".parquet")
COMPRESSIONS = ("", ".gz", ".zst")
_SUFFIXES = tuple(kind + compression for kind in KINDS for compression in COMPRESSIONS)
_NAMES_OF_PARTS = "part-*"
#: What the files of a split are called where they have no common name in front.
NAMES_OF_SPLITS = {"train": ("train",), "validation": ("valid", "validation", "val"), "test": ("test",)}
_SPLITS = tuple(NAMES_OF_SPLITS)
_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 60
_SHOWN = 12


def find_tables(root: Path, others: str = "") -> tuple[Path, ...]:
    """Return the one table to split, or the three tables train, validation, test of a published split.

    A table is a CSV or Parquet file, which may be compressed, or a folder of its parts, as Spark and Hive write them:
    ``part-*``.

    Args:
        root: A table, a folder with one table, or a folder with ``NAME.train.csv``, ``NAME.validation.csv`` and
            ``NAME.test.csv`` (the layout of AutoLossGen, https://arxiv.org/abs/2204.13160), or another suffix.
        others: Further layouts that are named where there is no table.

    Raises:
        FileNotFoundError: If a table is missing.
        ValueError: If the folder holds more than one data set, or ``root`` is a device or a pipe.
    """
    if root.is_file() or _parts(root):
        return (root,)
    if not root.is_dir():
        raise missing_file(root)
    train = _only(sorted(path for path in root.iterdir() if _suffix_of(path, ".train")), root)
    return _single_table(root, others) if train is None else _published_split(train)


def parts_of(table: Path) -> tuple[Path, ...]:
    """Return the files of a table: itself, or the parts in its folder by name, without empty ones unless all are.

    Raises:
        FileNotFoundError: If there are none.
    """
    if table.is_file():
        return (table,)
    parts = _parts(table)
    if not parts:
        raise missing_file(table)
    return tuple(part for part in parts if part.stat().st_size) or parts[:1]


def matching_tables(folder: Path, pattern: str, *, at_most: int | None = None) -> list[Path]:
    """Return the files of a folder that match a pattern, ordered by name.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If there are more than ``at_most``.
    """
    if not folder.is_dir():
        raise missing_file(folder)
    found = sorted(path for ending in COMPRESSIONS for path in folder.glob(pattern + ending))
    if not found:
        raise FileNotFoundError(f"{folder} holds no {pattern}, but {_contents(folder)}. Correct the path")
    if at_most is not None and len(found) > at_most:
        names = ", ".join(path.name for path in found)
        raise ValueError(f"{folder} holds several {pattern}: {names}. Leave {at_most} of them there")
    return found


def missing_file(path: Path) -> FileNotFoundError | ValueError:
    """Return the error for a missing file or folder, which says what there is instead."""
    if path.exists() and not path.is_dir():
        return ValueError(f"{path} is a device or a pipe, and a table is a file that can be read again. Give a file")
    folder = next(parent for parent in (path.parent, *path.parent.parents) if parent.is_dir())
    return FileNotFoundError(f"there is no {path}; {folder.absolute()} holds {_contents(folder)}. Correct the path")


def _parts(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(path for path in folder.glob(_NAMES_OF_PARTS) if path.is_file())) if folder.is_dir() else ()


def _suffix_of(path: Path, before: str = "") -> str | None:
    """Return the suffix, behind another one, by which a file or folder is a table."""
    name = path.name.lower()
    return next((before + suffix for suffix in _SUFFIXES if name.endswith(before + suffix)), None)


def _single_table(root: Path, others: str) -> tuple[Path, ...]:
    tables = sorted(path for path in root.iterdir() if (_suffix_of(path) and path.is_file()) or _parts(path))
    _refuse_unnamed_split(tables, root)
    table = _only(tables, root)
    if table is None:
        raise FileNotFoundError(
            f"{root} holds no table ({others}NAME.train.csv with its validation and test, or one of "
            f"{', '.join(KINDS)}, which may be compressed, or a folder of parts), but {_contents(root)}. Let root name "
            "the table or its folder"
        )
    return (table,)


def _published_split(train: Path) -> tuple[Path, ...]:
    suffix = _suffix_of(train, ".train") or ""
    name, ending = train.name[: -len(suffix)], train.name[-len(suffix) :].removeprefix(".train")
    tables = tuple(train.with_name(f"{name}.{split}{ending}") for split in _SPLITS)
    for table in tables:
        if not table.exists():
            raise missing_file(table)
    return tables


def _refuse_unnamed_split(tables: list[Path], root: Path) -> None:
    names = {name for of_split in NAMES_OF_SPLITS.values() for name in of_split}
    found = [path for path in tables if _name_of(path) in names]
    if len(found) < 2:
        return
    held, ending = ", ".join(path.name for path in found), _suffix_of(found[0]) or KINDS[0]
    raise ValueError(
        f"{root} holds {held}, the files of one split. Where they have labels, rename them: "
        f"{', '.join(f'NAME.{split}{ending}' for split in _SPLITS)} are all needed; where they have none, take --data "
        "ImplicitFeedback, which reads train and test as they are"
    )


def _name_of(table: Path) -> str:
    return table.name.lower().removesuffix(_suffix_of(table) or "")


def _only(tables: list[Path], root: Path) -> Path | None:
    if len(tables) > 1:
        names = listed([table.name for table in tables], _SHOWN, ", ")
        raise ValueError(
            f"{root} holds several data sets: {names}. Let root name one table, or give each its own folder"
        )
    return tables[0] if tables else None


def _contents(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    return listed(names, _SHOWN, ", ") or "nothing"


@dataclass(frozen=True, slots=True)
class ZipArchive:
    """A published zip file.

    Attributes:
        url: Where it lies.
        md5: Its published checksum, in hexadecimal.
        files: Wanted members and the names they get; nothing else is unpacked.
    """

    url: str
    md5: str
    files: Mapping[str, str]


def fetch(archive: ZipArchive, folder: Path) -> None:
    """Fetch an archive and put its wanted files into a folder.

    Raises:
        FileNotFoundError: If the archive cannot be fetched.
        ValueError: If its checksum is not the published one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as content:
        _copy(archive.url, content, folder)
        _verify(content, archive)
        _unpack(content, archive.files, folder)


def _copy(url: str, content: BufferedRandom, folder: Path) -> None:
    try:
        # The addresses are constants of the project, never a user's input.
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
            shutil.copyfileobj(response, content, _CHUNK_BYTES)
    except OSError as error:
        raise FileNotFoundError(
            f"{url} cannot be fetched ({error}). Check the network, or fetch it elsewhere and unpack it into {folder}"
        ) from error


def _verify(content: BufferedRandom, archive: ZipArchive) -> None:
    content.seek(0)
    found = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != archive.md5:
        raise ValueError(
            f"{archive.url} has the MD5 checksum {found}, but {archive.md5} was published; nothing was unpacked. "
            "Try again, and do not use the file if it stays so"
        )


def _unpack(content: BufferedRandom, files: Mapping[str, str], folder: Path) -> None:
    with zipfile.ZipFile(content) as members:
        for member, name in files.items():
            # Complete under another name first: a reader, or another process that downloads, never sees half a file.
            with members.open(member) as source, tempfile.NamedTemporaryFile(dir=folder, delete=False) as target:
                shutil.copyfileobj(source, target, _CHUNK_BYTES)
            Path(target.name).chmod(0o644)
            Path(target.name).replace(folder / name)
