"""A file's format and compression, detected by its first bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from lightning_modules.utilities.messages import shortened

HEAD_BYTES = 1 << 16

_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_PARQUET = b"PAR1"
_UNPACK = "Unpack it, or compress the table with gzip or Zstandard"
_WRITE = "Write the table as CSV or Parquet"
_OTHERS = {
    b"PK\x03\x04": ("a zip archive, as .xlsx and .npz files are too", f"{_UNPACK}, or write a sheet as CSV"),
    b"\xfd7zXZ\x00": ("compressed with xz", _UNPACK),
    b"\x04\x22\x4d\x18": ("compressed with LZ4", _UNPACK),
    b"\xff\x06\x00\x00sNaPpY": ("compressed with Snappy", _UNPACK),
    b"LZIP": ("compressed with lzip", _UNPACK),
    b"\x1f\x9d": ("compressed with compress", _UNPACK),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", _UNPACK),
    b"Rar!\x1a\x07": ("a rar archive", _UNPACK),
    b"SQLite format 3\x00": ("an SQLite database", _WRITE),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", _WRITE),
    b"\x93NUMPY": ("a NumPy array", _WRITE),
    b"ARROW1\x00\x00": ("an Arrow or Feather file", _WRITE),
    b"Obj\x01": ("an Avro file", _WRITE),
    b"\xd0\xcf\x11\xe0": ("an old Excel or Word file", _WRITE),
    b"%PDF-": ("a PDF", _WRITE),
    b"\x80\x02": ("a pickle", _WRITE),
    b"\x80\x03": ("a pickle", _WRITE),
    b"\x80\x04": ("a pickle", _WRITE),
    b"\x80\x05": ("a pickle", _WRITE),
    b"\xff\xfe": ("UTF-16 text", "Save the table as UTF-8"),
    b"\xfe\xff": ("UTF-16 text", "Save the table as UTF-8"),
}
_TAR = (257, b"ustar")
_BZIP2 = (4, b"1AY&SY")


def is_parquet(path: Path) -> bool:
    """Return whether a file is meant as Parquet: it begins so, or its name ends with ``.parquet``."""
    if path.suffix.lower() == ".parquet":
        return True
    with path.open("rb") as file:
        return file.read(len(_PARQUET)) == _PARQUET


def open_content(path: Path) -> pa.NativeFile:
    """Open a file's bytes, without the gzip or Zstandard compression that its first bytes tell of.

    Raises:
        ValueError: If the file is of another kind, which is named.
    """
    with path.open("rb") as file:
        head = file.read(_TAR[0] + len(_TAR[1]))
    compression = next((name for magic, name in _COMPRESSIONS.items() if head.startswith(magic)), None)
    if compression is None:
        _refuse_other_kinds(head, path)
    return pa.input_stream(str(path), compression=compression)


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file's content, at most ``HEAD_BYTES``.

    Raises:
        ValueError: If the file, or what was compressed in it, is no text.
    """
    with open_content(path) as content, damage_named(path):
        head: bytes = content.read(HEAD_BYTES)
    if head.startswith(_PARQUET):
        raise ValueError(f"{path} holds a compressed Parquet file, which has a compression of its own. Unpack it")
    _refuse_other_kinds(head, path)
    return head


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turn the error of a damaged compression, which does not name the file, into one that does.

    Raises:
        ValueError: If what is read inside is damaged.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise ValueError(
            f"{path} is damaged or cut off: {shortened(str(error), 200)}. Compress or copy it again"
        ) from error


def _refuse_other_kinds(head: bytes, path: Path) -> None:
    kinds = [kind for magic, kind in _OTHERS.items() if head.startswith(magic)]
    if head[_TAR[0] :].startswith(_TAR[1]):
        kinds.append(("a tar archive", _UNPACK))
    if head.startswith(b"BZh") and head[_BZIP2[0] :].startswith(_BZIP2[1]):
        kinds.append(("compressed with bzip2", _UNPACK))
    if kinds:
        kind, remedy = kinds[0]
        raise ValueError(f"{path} cannot be read as a table: it is {kind}. {remedy}")
