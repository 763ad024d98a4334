"""Text files of a line for each user, ``user item item ...``, as LightGCN's data sets are published."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pytorch_lightning.utilities import rank_zero_warn

from datamodules.tables.categories import as_categorical
from datamodules.tables.formats import damage_named, head_of, open_content
from datamodules.tables.ids import encoded
from lightning_modules.utilities.messages import shortened
from lightning_modules.utilities.progress import working

_BOM = b"\xef\xbb\xbf"
_BLANKS = (" ", "\t", "\r", "\n")
_LINE_END = ord("\n")


def read_item_lists(path: Path) -> pd.DataFrame:
    """Read a file of item lists as the columns ``user`` and ``item``, a row for each item, as categories of text.

    Blanks and tabs separate the ids. Lines without ids are left out; a user without items has no rows, and one with
    several lines has the items of all.

    Args:
        path: The file, plain or compressed.

    Raises:
        ValueError: If it is no text in UTF-8, or no line has an item.
    """
    head_of(path)
    with working(f"reading {path.name}"):
        with open_content(path) as content, damage_named(path):
            text = np.frombuffer(content.read().removeprefix(_BOM), dtype=np.uint8)
        first, length, line = _words(text)
        ids = _texts(text, first, length, path)
        is_user = np.diff(line, prepend=-1) != 0
        is_item = ~is_user
        if not is_item.any():
            raise ValueError(
                f"{path} has no line with an item: a line is a user and that user's items, separated by blanks, such "
                f"as '7 12 5'. Its first line is {_first_line(text)!r}"
            )
        users = ids.filter(pa.array(is_user))
        _warn_of_repeated_users(users, line[is_user], path)
        columns = {
            "user": users.take(pa.array((np.cumsum(is_user) - 1)[is_item])),
            "item": ids.filter(pa.array(is_item)),
        }
        return pd.DataFrame({name: as_categorical(encoded(pa.chunked_array([each]))) for name, each in columns.items()})


def _words(text: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where the words of a text begin, how long they are, and on which lines they stand, counted from 0."""
    is_letter = ~np.isin(text, [ord(blank) for blank in _BLANKS])
    edges = np.flatnonzero(np.diff(is_letter, prepend=False, append=False))
    first, end = edges[::2], edges[1::2]
    return first, end - first, np.searchsorted(np.flatnonzero(text == _LINE_END), first)


def _texts(text: np.ndarray, first: np.ndarray, length: np.ndarray, path: Path) -> pa.StringArray:
    """Return words as an array of Arrow.

    Raises:
        ValueError: If they are not UTF-8.
    """
    offsets = np.concatenate([[0], np.cumsum(length)])
    is_letter = ~np.isin(text, [ord(blank) for blank in _BLANKS])
    words = pa.LargeStringArray.from_buffers(
        len(first), pa.py_buffer(offsets.astype(np.int64)), pa.py_buffer(text[is_letter].tobytes())
    )
    try:
        words.validate(full=True)
    except pa.ArrowInvalid as error:
        lines = text.tobytes().split(b"\n")
        number = next(number for number, line in enumerate(lines, start=1) if not _is_utf8(line))
        raise ValueError(f"{path}, line {number} is not UTF-8; save the file in that encoding") from error
    return words.cast(pa.string())


def _warn_of_repeated_users(users: pa.StringArray, line: np.ndarray, path: Path) -> None:
    codes = users.dictionary_encode().indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    is_repeated = np.zeros(len(codes), dtype=bool)
    is_repeated[order[1:]] = codes[order[1:]] == codes[order[:-1]]
    if is_repeated.any():
        place = int(is_repeated.argmax())
        before = int(np.flatnonzero(codes == codes[place])[0])
        rank_zero_warn(
            f"{path}, line {line[place] + 1}: user '{users[place]}' has the line {line[before] + 1} already "
            f"({is_repeated.sum()} such lines); the items of all lines of a user are taken together. If the file "
            "holds a pair of user and item on each line, give it as a table, with .tsv or .csv in its name"
        )


def _first_line(text: np.ndarray) -> str:
    return shortened(text[:1000].tobytes().decode(errors="replace").strip().split("\n")[0])


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
