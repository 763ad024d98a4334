"""What a file is, and that what it holds is read or named."""

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from datamodules.tables import Columns, column_names, read_columns

COLUMNS = Columns(keys=["user", "item"], labels=["label"])
TEXT = b"user,item,label\na,1,1\nb,2,0\n"


def zstandard(content: bytes) -> bytes:
    compressed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return compressed


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ValueError, match="table") as caught:
        read_columns(path, COLUMNS)
    return str(caught.value)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard])
@pytest.mark.parametrize("name", ["table.csv.gz", "table.csv.zst", "table.csv"])
def test_gzip_and_zstandard_are_read_whatever_the_name(
    tmp_path: Path, compress: Callable[[bytes], bytes], name: str
) -> None:
    path = written(tmp_path / name, compress(TEXT))
    assert column_names(path) == ["user", "item", "label"]
    assert read_columns(path, COLUMNS).astype(object).to_numpy().tolist() == [["a", "1", 1.0], ["b", "2", 0.0]]
    wrong = written(tmp_path / name, compress(TEXT + b"c,3,2\n"))
    assert f"{wrong}, line 4: column 'label' is '2'" in refusal(wrong)


def test_gzip_in_several_members_is_one_table(tmp_path: Path) -> None:
    path = written(tmp_path / "table.csv.gz", gzip.compress(TEXT) + gzip.compress(b"c,3,1\n"))
    assert read_columns(path, COLUMNS)["user"].tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("compress", [gzip.compress, zstandard])
def test_compressed_file_that_is_cut_off_is_named(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    text = TEXT + "".join(f"u{row},{row * 7919 % 10007},1\n" for row in range(100_000)).encode()
    content = compress(text)
    assert "damaged or cut off" in refusal(written(tmp_path / "table.csv.gz", content[: len(content) // 2]))


def archived(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("table.csv", TEXT)
    else:
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            information = tarfile.TarInfo("table.csv")
            information.size = len(TEXT)
            tar.addfile(information, io.BytesIO(TEXT))
    return buffer.getvalue()


def numpy_file() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (bz2.compress(TEXT), "compressed with bzip2. Unpack it"),
        (lzma.compress(TEXT), "compressed with xz"),
        (archived("zip"), "a zip archive"),
        (archived("tar"), "a tar archive"),
        (gzip.compress(archived("tar")), "a tar archive"),
        (numpy_file(), "a NumPy array"),
        (pickle.dumps([1, 2]), "a pickle"),
        (b"SQLite format 3\x00" + bytes(80), "an SQLite database"),
        (TEXT.decode().encode("utf-16"), "UTF-16 text. Save the table as UTF-8"),
    ],
)
def test_other_kinds_of_file_are_named(tmp_path: Path, content: bytes, expected: str) -> None:
    path = written(tmp_path / "table.csv", content)
    assert f"{path} cannot be read as a table: it is {expected}" in refusal(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"\n \n\n", "is empty"),
        (b"\n" + TEXT, "line 1 is blank, and the first line has to name the columns"),
        (b"\r\n" + TEXT, "line 1 is blank"),
        (b"user,item,label\n", "has no rows"),
    ],
)
def test_tables_without_names_or_rows_are_named(tmp_path: Path, content: bytes, expected: str) -> None:
    assert expected in refusal(written(tmp_path / "table.csv", content))


def test_parquet_is_told_by_its_content_or_its_name(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user": ["a"], "item": [1], "label": [1]})
    frame.to_parquet(tmp_path / "table.parquet")
    content = (tmp_path / "table.parquet").read_bytes()
    assert read_columns(written(tmp_path / "table.csv", content), COLUMNS)["item"].tolist() == ["1"]
    assert "compressed Parquet file" in refusal(written(tmp_path / "table.csv", gzip.compress(content)))
    assert "cannot be read as Parquet" in refusal(written(tmp_path / "table.parquet", TEXT))


def test_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    path = written(tmp_path / "table.csv", b"\xef\xbb\xbf" + TEXT)
    assert column_names(path) == ["user", "item", "label"]
    assert len(read_columns(path, COLUMNS)) == 2


def spark_folder(folder: Path, kind: str) -> Path:
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    (folder / ".part-00000.crc").write_bytes(b"crc")
    for part, (users, labels) in enumerate([("ab", [1, 0]), ("ca", [1, 1])]):
        frame = pd.DataFrame({"user": list(users), "item": [part, 7], "label": labels})
        path = folder / f"part-0000{part}{kind}"
        frame.to_parquet(path) if kind.endswith("parquet") else frame.to_csv(path, index=False, compression="infer")
    return folder


@pytest.mark.parametrize("kind", [".csv", ".csv.gz", "", ".snappy.parquet"])
def test_folder_of_parts_is_one_table(tmp_path: Path, kind: str) -> None:
    table = read_columns(spark_folder(tmp_path / "table", kind), COLUMNS)
    assert table["user"].tolist() == ["a", "b", "c", "a"]
    assert table["item"].tolist() == ["0", "7", "1", "7"]
    assert table["label"].tolist() == [1, 0, 1, 1]
    assert sorted(table["user"].cat.categories) == ["a", "b", "c"]


def test_wrong_cell_of_a_part_is_named_by_the_part_and_its_line(tmp_path: Path) -> None:
    folder = spark_folder(tmp_path / "table", ".csv")
    part = written(folder / "part-00001.csv", TEXT + b"c,3,yes\n")
    assert f"{part}, line 4: column 'label' is 'yes'" in refusal(folder)
    written(part, b"user,label\na,1\n")
    assert f"{part} has no column 'item'" in refusal(folder)


def test_empty_parts_are_left_out_unless_all_are(tmp_path: Path) -> None:
    folder = spark_folder(tmp_path / "table", ".csv")
    written(folder / "part-00000.csv", b"")
    assert read_columns(folder, COLUMNS)["user"].tolist() == ["c", "a"]
    written(folder / "part-00001.csv", b"")
    assert "is empty" in refusal(folder)
