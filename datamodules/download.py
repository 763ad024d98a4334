"""Published archives, fetched once and checked before anything is unpacked."""

import hashlib
import shutil
import tempfile
import urllib.request
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Archive:
    """A published zip file.

    Attributes:
        url: Where it lies.
        md5: Its published checksum, in hexadecimal.
        files: Wanted members and the names they get; nothing else is unpacked.
    """

    url: str
    md5: str
    files: Mapping[str, str]


def fetch(archive: Archive, folder: Path) -> None:
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


def _verify(content: BufferedRandom, archive: Archive) -> None:
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
