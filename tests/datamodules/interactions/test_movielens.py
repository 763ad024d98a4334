import hashlib
import zipfile
from pathlib import Path

import pytest

from datamodules import MovieLens
from datamodules.interactions.movielens import ARCHIVES
from datamodules.tables.files import ZipArchive

ROWS_100K = "".join(f"{1 + n // 8}\t{n % 8 + 1}\t{n % 5 + 1}\t{1000 - n}\n" for n in range(32))
ROWS_1M = ROWS_100K.replace("\t", "::")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ZipArchive:
    path = tmp_path / "published.zip"
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("ml-100k/u.data", ROWS_100K)
        content.writestr("ml-100k/README", "terms of use")
        content.writestr("ml-100k/u.item", "not wanted")
        content.writestr("../outside.txt", "not wanted either")
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    served = ZipArchive(url=path.as_uri(), md5=digest, files=ARCHIVES["100k"].files)
    monkeypatch.setitem(ARCHIVES, "100k", served)
    return served


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("name", "text"), [("u.data", ROWS_100K), ("ratings.dat", ROWS_1M)])
def test_either_release_is_found_by_its_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    splits = MovieLens(str(tmp_path), split="ratio", ratios=(0.5, 0.25, 0.25)).read_splits()
    assert [len(part) for part in splits] == [16, 8, 8]
    assert splits.train.user.tolist() == [4] * 8 + [3] * 8
    assert splits.train["item"].tolist()[:3] == [8, 7, 6]
    assert splits.train.label.tolist()[:3] == [float(n % 5 + 1 > 3) for n in (31, 30, 29)]


def test_version_decides_where_both_releases_lie(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text(ROWS_100K)
    (tmp_path / "ratings.dat").write_text(ROWS_1M * 2)
    sizes = [sum(map(len, MovieLens(str(tmp_path), version=version).read_splits())) for version in ("100k", "1m")]
    assert sizes == [32, 64]


def test_missing_ratings_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no .*u\.data; .* holds nothing.*set download to true"):
        MovieLens(str(tmp_path)).setup()


def test_download_unpacks_the_wanted_files_alone(tmp_path: Path, archive: ZipArchive) -> None:
    root = tmp_path / "data" / "ml"
    data = MovieLens(str(root), download=True)
    assert data.num_users == 4 + 1
    assert names(root) == ["README", "u.data"]
    assert (root / "u.data").read_text() == ROWS_100K
    assert names(tmp_path) == ["data", "published.zip"]


def test_ratings_that_are_there_are_not_fetched(
    tmp_path: Path, archive: ZipArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "u.data").write_text(ROWS_100K)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("fetched"))
    MovieLens(str(tmp_path), download=True).prepare_data()


def test_archive_with_another_checksum_is_refused(
    tmp_path: Path, archive: ZipArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = ZipArchive(url=archive.url, md5="0" * 32, files=archive.files)
    monkeypatch.setitem(ARCHIVES, "100k", published)
    with pytest.raises(ValueError, match=f"checksum {archive.md5}, but {'0' * 32} was published"):
        MovieLens(str(tmp_path / "ml"), download=True).prepare_data()
    assert names(tmp_path / "ml") == []


def test_missing_network_is_explained(tmp_path: Path, archive: ZipArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = ZipArchive(url=(tmp_path / "gone.zip").as_uri(), md5=archive.md5, files=archive.files)
    monkeypatch.setitem(ARCHIVES, "100k", gone)
    with pytest.raises(FileNotFoundError, match=r"gone\.zip cannot be fetched .* Check the network"):
        MovieLens(str(tmp_path / "ml"), download=True).setup()


def test_published_checksums_are_pinned() -> None:
    assert ARCHIVES["1m"].md5 == "c4d9eecfca2ab87c1945afe126590906"
    assert ARCHIVES["100k"].md5 == "0e33842e24a9c977be4e0107933c0723"
    assert all(archive.url.startswith("https://files.grouplens.org/") for archive in ARCHIVES.values())
