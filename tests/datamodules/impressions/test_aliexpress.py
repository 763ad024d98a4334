from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datamodules import AliExpress


def frame(size: int, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    click = generator.integers(2, size=size)
    columns = {f"categorical_{i}": generator.integers(3, size=size) for i in (1, 2)}
    columns |= {f"numerical_{i}": generator.random(size) for i in (1, 2, 3)}
    labels = {"click": click, "conversion": click * generator.integers(2, size=size)}
    return pd.DataFrame({"search_id": np.arange(size) // 4, **columns, **labels})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    frame(40, 0).to_csv(tmp_path / "aliexpress_train_XX.csv", index=False)
    frame(12, 1).to_csv(tmp_path / "aliexpress_test_XX.csv", index=False)
    return tmp_path


def test_fields_and_features_are_found_by_name(folder: Path) -> None:
    data = AliExpress(str(folder), seed=0)
    assert (data.field_sizes, data.num_numerical, data.tasks) == ((4, 4), 3, ("click", "conversion"))
    assert data.feature_names[2:] == ("numerical_1", "numerical_2", "numerical_3")
    assert data.rows["test"].label[:, 0].tolist() == frame(12, 1)["click"].tolist()
    assert data.decode(data.rows["test"])["session"].tolist() == frame(12, 1)["search_id"].tolist()


def test_validation_is_the_end_of_training_and_cuts_no_search(folder: Path) -> None:
    data = AliExpress(str(folder), validation_share=0.25, seed=0)
    data.setup()
    # 30 of the 40 rows would end inside the search 7, which has the rows 28 to 31.
    assert [len(rows.row) for rows in data.rows.values()] == [32, 8, 12]
    assert data.rows["validation"].label[:, 1].tolist() == frame(40, 0)["conversion"].tolist()[32:]


def test_conversion_without_click_is_counted(folder: Path) -> None:
    table = frame(40, 0)
    table.loc[table.index[table["click"] == 0][:2], "conversion"] = 1
    table.to_csv(folder / "aliexpress_train_XX.csv", index=False)
    with pytest.warns(UserWarning, match="2 of the 52 rows of .* have conversion without click"):
        AliExpress(str(folder)).setup()


def test_unusable_folders_are_named(folder: Path) -> None:
    with pytest.raises(ValueError, match="validation_share must lie between 0 and 1"):
        AliExpress(str(folder), validation_share=1.0)
    (folder / "second_test.csv").write_text("x")
    with pytest.raises(ValueError, match=r"several \*test\*\.csv"):
        AliExpress(str(folder)).setup()
    (folder / "aliexpress_train_XX.csv").write_text("search_id,click,conversion\n1,0,0\n")
    (folder / "second_test.csv").unlink()
    with pytest.raises(ValueError, match=r"no columns categorical_1"):
        AliExpress(str(folder)).setup()
    with pytest.raises(FileNotFoundError, match="there is no"):
        AliExpress(str(folder / "gone")).setup()


@pytest.mark.filterwarnings("ignore:.*have label 0 for")
def test_processed_layout_is_read(real_data: Path) -> None:
    data = AliExpress(str(real_data / "aliexpress-sample"), seed=0)
    data.setup("fit")
    assert (len(data.field_sizes), data.num_numerical) == (16, 63)
    assert sum(len(rows.row) for rows in data.rows.values()) == 120
