"""What separates the cells of a text, and how Arrow, which knows single bytes alone, reads others."""

import io
from collections.abc import Sequence

import pyarrow as pa

_SEPARATORS = ("\t", "::", ";", ",")

#: Stands for a separator of several bytes; ASCII's own "unit separator".
_SINGLE_BYTE = b"\x1f"


def inferred_separator(line: bytes, among: Sequence[str] = _SEPARATORS) -> str:
    """Return the separator that a line, the first of a file, holds most often."""
    return max(among, key=line.decode(errors="replace").count)


def usable_separator(separator: str) -> bytes:
    r"""Return a separator as bytes; ``\t`` may be written as these two characters.

    Raises:
        ValueError: If cells cannot be separated by it.
    """
    if not separator or set(separator) & set('\r\n"'):
        raise ValueError(
            f"the separator {separator!r} cannot separate cells; give one without quotes and line ends, or leave the "
            "option out: tab, '::', semicolon and comma are recognised"
        )
    return separator.replace(r"\t", "\t").encode()


def delimiter(separator: bytes) -> str:
    """Return the single byte that stands for a separator in :class:`SingleByteContent`."""
    return (separator if len(separator) == 1 else _SINGLE_BYTE).decode()


def restored(texts: pa.Array, separator: bytes) -> pa.Array:
    """Return texts [n] with the separator, where quotes had kept it, in place of the single byte."""
    # Arrow has no other function for it that knows bytes outside ASCII.
    return pa.compute.replace_substring(texts, delimiter(separator), separator.decode())


class SingleByteContent(io.RawIOBase):
    """Bytes in which a single byte stands for a separator of several.

    Args:
        content: What is read from.
        separator: At least two bytes.
    """

    def __init__(self, content: pa.NativeFile, separator: bytes) -> None:
        super().__init__()
        self._content = content
        self._separator = separator
        self._rest = b""

    def readable(self) -> bool:
        """Return that this can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return about so many of the next bytes, none at the end."""
        block = self._rest + self._content.read(None if size < 0 else size)
        # The separator's beginning may be the end of the block.
        keep = next((n for n in range(len(self._separator) - 1, 0, -1) if block.endswith(self._separator[:n])), 0)
        is_last = len(block) == len(self._rest)
        cut = len(block) if is_last else len(block) - keep
        self._rest = block[cut:]
        ready = block[:cut].replace(self._separator, _SINGLE_BYTE)
        return ready if ready or is_last else self.read(size)
