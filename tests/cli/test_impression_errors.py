"""Wrong impressions are met with a message that says what is wrong, where, and what to do."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lightning_modules.cli.main import main
from tests.cli.cli_helpers import TRAINER

SMALL = ["--model.embedding_dim=2", "--model.bottom_dims=[4]", "--model.tower_dims=[2]"]
QUIET = ["--trainer.logger=false", "--trainer.enable_checkpointing=false", "--trainer.enable_model_summary=false"]
OPTIONS = {
    "categorical_columns": "[user,shop]",
    "numerical_columns": "[price]",
    "tasks": "[click,buy]",
    "user_column": "user",
    "time_column": "when",
}


def frame(**columns: Any) -> pd.DataFrame:
    """Return 60 good rows, with some columns replaced."""
    generator = np.random.default_rng(0)
    click = np.arange(60) // 2 % 2
    table = {
        "user": [f"user{row % 7}" for row in range(60)],
        "shop": generator.choice(list("abc"), size=60),
        "price": generator.normal(5, 3, size=60).round(3),
        "click": click,
        "buy": click * (np.arange(60) % 2),
        "when": np.arange(60),
    }
    return pd.DataFrame({**table, **columns})


def first(value: object, others: Sequence[object]) -> list[object]:
    """Return a column of 60 cells that begins with a value."""
    return [value, *others] * (60 // (1 + len(others)))


def command(root: Path, *more: str, model: str = "SharedBottom", data: str = "", **options: Any) -> list[str]:
    """Return the command that trains on the generic impressions at ``root``, or on another kind of data."""
    chosen = options if data else OPTIONS | options
    named = [f"--data.{name}={value}" for name, value in chosen.items()]
    source = [f"--data={data or 'ImpressionsDataModule'}", f"--data.root={root}"]
    return ["fit", f"--model={model}", *SMALL, *TRAINER, *QUIET, *source, *named, *more]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command line that must fail with a status, and return the message."""

    def run(arguments: list[str], status: int = 1) -> str:
        assert main(arguments) == status
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return said[said.index("error: ") :]

    return run


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.csv"
    frame().to_csv(path, index=False)
    return path


CELLS = [
    ({"click": first(2, [0, 1])}, "line 2: column 'click' is '2', which is neither 0 nor 1 (20 such rows)"),
    ({"buy": first("yes", ["no"])}, "line 2: column 'buy' is 'yes', which is neither 0 nor 1"),
    ({"buy": first(None, [1])}, "line 2: column 'buy' is empty (30 such rows). Labels are 0 or 1"),
    ({"buy": None}, "line 2: column 'buy' is empty (60 such rows)"),
    ({"shop": first(1.0, [2.5])}, "column 'shop' holds the category 2.5: numbers with a fraction are measurements"),
    ({"price": first("cheap", [1])}, "line 2: column 'price' is 'cheap', which is no number (30 such rows). Correct"),
    ({"user": first(None, ["u"])}, "line 2: column 'user' is empty (30 such rows). Fill the cell or remove the row"),
    ({"when": "25.04.2022"}, "line 2: column 'when' is '25.04.2022', which is no time (60 such rows). Times are"),
    ({"when": first("soon", range(59))}, "line 2: column 'when' is 'soon', which is no number, while other times"),
    ({"when": None}, "line 2: column 'when' is empty (60 such rows)"),
    ({"when": 3}, "there are 60 rows at 1 different times, rows of one time stay together"),
]


@pytest.mark.parametrize(("columns", "expected"), CELLS)
def test_unusable_cells(columns: dict[str, Any], expected: str, shop: Path, refused: Any) -> None:
    frame(**columns).to_csv(shop, index=False)
    said = refused(command(shop))
    assert said.startswith((f"error: {shop}", "error: the train split of"))
    assert expected in said


TEXT = frame().to_csv(index=False)
FILES = [
    ("", "is empty; give a table with the names of the columns"),
    ("user,shop,price,click,buy,when\n", "has no rows; give a table with at least one row"),
    (TEXT.replace(",", "|"), "(separated by '\\t'). Only one column was found: name the separator"),
    (TEXT.replace("user,shop", "shop,shop", 1), "has no column 'user'"),
    (TEXT.replace("price", "shop", 1), "has 2 columns 'shop'; give them different names"),
    (TEXT.replace("price", "prices", 1), "has no column 'price'; its columns are 'user', 'shop', 'prices'"),
    (TEXT.replace("user3,", "user3,more,", 1), "line 5: Expected 6 columns, got 7: user3,more,"),
    (TEXT.replace("user3", "user\xe4", 1), "line 5 is not UTF-8, as a CSV table has to be"),
    (TEXT.partition("\n")[2], "has no column 'user'; its columns are 'user0', "),
]


@pytest.mark.parametrize(("content", "expected"), FILES)
def test_unusable_files(content: str, expected: str, shop: Path, refused: Any) -> None:
    shop.write_bytes(content.encode("latin-1"))
    assert expected in refused(command(shop))


CHOICES: list[tuple[dict[str, str], str]] = [
    ({"categorical_columns": "[user,shp]"}, "has no column 'shp'; its columns are 'user', 'shop', 'price', 'click'"),
    ({"categorical_columns": "[user,shp]"}, "Did you mean 'shop'? Correct the name where the data's options give it"),
    ({"categorical_columns": "[click]"}, "column 'click' is named for two uses that exclude each other"),
    ({"categorical_columns": "[]", "numerical_columns": "[]"}, "name categorical_columns or numerical_columns"),
    ({"tasks": "{view: [click, seen]}"}, "has no column 'seen'"),
    ({"separator": ";"}, "(separated by ';'). Only one column was found: name the separator"),
    ({"separator": "::"}, "(separated by '::'). Only one column was found: name the separator"),
    ({"boundaries": "[70,80]"}, "the validation split of {shop} has no rows: validation begins at 70.0 and test at 80"),
    ({"boundaries": "[70,80]"}, "the rows' times go from 0 to 59. Choose times between these"),
    ({"boundaries": "[40,30]"}, "the test rows must begin after the validation rows"),
    ({"boundaries": "[2022-05-01,2022-05-03]"}, "'2022-05-01' is no time like those of the rows, which are numbers"),
    ({"ratios": "[0.5,0.5,0.5]"}, "ratios must be three positive numbers that add up to 1"),
    ({"split_column": "shop"}, "'; it may say train, validation, test"),
    ({"tail_shares": "{city: 0.1}"}, "tail share 0.1 of field 'city': shares lie in [0, 1), and the fields are user"),
    ({"tail_shares": "{shop: 1.5}"}, "tail share 1.5 of field 'shop': shares lie in [0, 1)"),
]


@pytest.mark.parametrize(("options", "expected"), CHOICES)
def test_options_that_do_not_fit_the_table(options: dict[str, str], expected: str, shop: Path, refused: Any) -> None:
    assert expected.format(shop=shop) in refused(command(shop, **options))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"time_colum": "when"}, "ImpressionsDataModule has no argument 'time_colum'; did you mean time_column"),
        ({"boundaries": "[30]"}, "--data.boundaries: needs a tuple with 2 elements"),
        ({"tail_shares": "{shop: many}"}, "--data.tail_shares: needs a number, and is many"),
        ({"tasks": "click"}, "--data.tasks: needs a "),
    ],
)
def test_options_that_cannot_be_understood(options: dict[str, str], expected: str, shop: Path, refused: Any) -> None:
    assert expected in refused(command(shop, **options), status=2)


def test_missing_tables(shop: Path, refused: Any) -> None:
    gone = shop.with_name("gone.csv")
    assert f"there is no {gone}; {shop.parent} holds shop.csv" in refused(command(gone))
    empty = shop.with_name("empty")
    empty.mkdir()
    assert f"{empty} holds no table" in refused(command(empty))


MAPPERS = [
    ({"fields": {"city": {"a": 1}}}, "the category mapper has the fields city, but those of {shop} are user, shop"),
    ({"shop": {"a": 1}}, "mapper.json holds no category mapper (it lacks the entry 'fields'"),
    ({"fields": {"user": {"a": 0}, "shop": {}}}, "category 'a' of field 'user' has the index 0; give 1, 2, ..."),
]


@pytest.mark.parametrize(("state", "expected"), MAPPERS)
def test_unusable_category_mappers(state: dict[str, Any], expected: str, shop: Path, refused: Any) -> None:
    Path("mapper.json").write_text(json.dumps(state))
    assert expected.format(shop=shop) in refused(command(shop, category_mapper="mapper.json"))


def test_category_mapper_that_is_no_json_or_not_alone(shop: Path, refused: Any) -> None:
    Path("mapper.json").write_text("{fields")
    said = refused(command(shop, category_mapper="mapper.json"))
    assert "mapper.json holds no category mapper (Expecting property name" in said
    assert "let CategoryMapper.save write it" in said
    said = refused(command(shop, category_mapper="mapper.json", tail_shares="{shop: 0.1}"))
    assert "the category mapper mapper.json is used as it was fitted" in said


def test_as_many_losses_and_weights_as_tasks(shop: Path, refused: Any) -> None:
    losses = [{"class_path": name} for name in ("BCE", "MSE", "BCE")]
    Path("losses.yaml").write_text(json.dumps({"model": {"class_path": "SharedBottom", "init_args": {"loss": losses}}}))
    options = [each for each in command(shop)[1:] if not each.startswith("--model=")]
    said = refused(["fit", "--config=losses.yaml", *options])
    assert "there are 3 losses for 2 tasks (click, buy); give one loss for all tasks, or one a task" in said
    weights = ["--model.weighting=ConstantWeights", "--model.weighting.weights=[1,2,3]"]
    assert "there are 3 task weights and 2 tasks" in refused(command(shop, *weights))


def test_rows_that_break_the_funnel_are_counted(shop: Path) -> None:
    table = frame()
    broken = (table["click"] == 0) & (table["when"] % 2 == 0)
    table.loc[broken, "buy"] = 1
    table.to_csv(shop, index=False)
    said = f"{broken.sum()} of the 60 rows of {shop} have buy without click"
    with pytest.warns(UserWarning, match=f"{said}, and ESMM assumes that there are none") as caught:
        assert main(command(shop, model="ESMM")) == 0
    assert len([each for each in caught if said in str(each.message)]) == 1
    with pytest.warns(UserWarning, match=f"{said}: they are kept") as caught:
        assert main(command(shop, model="ESMM", funnel="true")) == 0
    assert len([each for each in caught if said in str(each.message)]) == 1


def test_independent_tasks_are_no_funnel(shop: Path, recwarn: pytest.WarningsRecorder) -> None:
    frame(buy=np.arange(60) % 2).to_csv(shop, index=False)
    assert main(command(shop)) == 0
    assert not [each for each in recwarn if "without click" in str(each.message)]


@pytest.mark.filterwarnings("ignore:AUC of", "ignore:the AUC of")
@pytest.mark.parametrize(
    ("split", "rows", "task", "consequence"),
    [
        ("train", slice(0, 47), "buy", "nothing can be learned for it"),
        ("validation", slice(48, 53), "click", "its AUC is undefined there and reported as nan"),
        ("test", slice(54, 59), "buy", "its AUC is undefined there and reported as nan"),
    ],
)
def test_split_of_one_class_is_named(split: str, rows: slice, task: str, consequence: str, shop: Path) -> None:
    table = frame()
    table.loc[rows, task] = 0
    table.to_csv(shop, index=False)
    with pytest.warns(UserWarning, match=f"all {split} rows of {shop} have label 0 for '{task}': {consequence}"):
        assert main(command(shop)) == 0


@pytest.mark.parametrize(("column", "consequence"), [("shop", "all rows have the index 0"), ("price", "feature is 0")])
def test_empty_column_is_named(column: str, consequence: str, shop: Path) -> None:
    frame(**{column: None}).to_csv(shop, index=False)
    with pytest.warns(UserWarning, match=f"column '{column}' has no filled cell among the training rows.*") as caught:
        assert main(command(shop)) == 0
    assert any(consequence in str(each.message) for each in caught)


def test_whole_numbers_written_as_floats_are_categories(shop: Path) -> None:
    frame(shop=first(1.0, [2.0, None])).to_csv(shop, index=False)
    assert main(command(shop)) == 0


KUAIRAND = {
    "log_standard_1.csv": "user_id,video_id,date,time_ms,is_click,long_view,tab\n1,2,20220501,5,1,0,3\n",
    "user_features_pure.csv": "user_id,user_active_degree\n1,full\n",
    "video_features_basic_pure.csv": "video_id,tag\n2,5\n",
}
RETAIL_ROCKET = {
    "events.csv": "timestamp,visitorid,event,itemid\n5,1,view,2\n",
    "item_properties_part1.csv": "timestamp,itemid,property,value\n1,2,categoryid,3\n",
    "category_tree.csv": "categoryid,parentid\n3,4\n",
}
ALI_EXPRESS = {
    "aliexpress_train.csv": "search_id,categorical_1,click,conversion\n1,2,0,0\n2,2,1,0\n",
    "aliexpress_test.csv": "search_id,categorical_1,click,conversion\n1,2,0,0\n",
}
TAB = {"categorical_columns": "[user_id,tab]", "numerical_columns": "[]"}

Change = tuple[str, str, str]
PUBLISHED: list[tuple[str, dict[str, str], Change, dict[str, str], str]] = [
    ("KuaiRand", KUAIRAND, ("log_standard_1.csv", "is_click", "clicked"), TAB, "_1.csv has no column 'is_click'"),
    ("KuaiRand", KUAIRAND, ("user_features_pure.csv", "user_id", "uid"), TAB, "_pure.csv has no column 'user_id'"),
    ("KuaiRand", KUAIRAND, ("log_standard_1.csv", "tab", "tap"), TAB, "has no column 'tab'; its columns are 'user_id'"),
    ("KuaiRand", KUAIRAND, ("log_standard_1.csv", "tab", "tap"), TAB, "(in log_standard_1.csv, user_features_pure"),
    ("KuaiRand", KUAIRAND, ("log_standard_1.csv", "", ""), TAB, "the rows' times go from 20220501 to 20220501"),
    ("KuaiRand", RETAIL_ROCKET, ("events.csv", "", ""), TAB, "holds no log_standard*.csv, but category_tree.csv"),
    ("RetailRocket", RETAIL_ROCKET, ("events.csv", "itemid", "item"), {}, "events.csv has no column 'itemid'"),
    ("RetailRocket", RETAIL_ROCKET, ("events.csv", "5,", "soon,"), {}, "line 2: column 'timestamp' is 'soon', which"),
    ("RetailRocket", RETAIL_ROCKET, ("events.csv", "5,", "2022-05-01,"), {}, "'timestamp' holds dates such as 2022"),
    ("RetailRocket", RETAIL_ROCKET, ("events.csv", "view", "wish"), {}, "events.csv has the event 'wish'"),
    (
        "RetailRocket",
        RETAIL_ROCKET,
        ("item_properties_part1.csv", "1,2", "soon,2"),
        {},
        "line 2: column 'timestamp' cannot be read: CSV conversion error to int64: invalid value 'soon'",
    ),
    ("RetailRocket", RETAIL_ROCKET, ("events.csv", "", ""), {"inactivity_minutes": "-1"}, "above 0; got -1"),
    ("RetailRocket", KUAIRAND, ("log_standard_1.csv", "", ""), {}, "events.csv; "),
    ("AliExpress", ALI_EXPRESS, ("aliexpress_test.csv", "conversion", "buy"), {}, "has no column 'conversion'"),
    ("AliExpress", ALI_EXPRESS, ("aliexpress_train.csv", "categorical", "field"), {}, "no columns categorical_1"),
    ("AliExpress", ALI_EXPRESS, ("aliexpress_train.csv", ",0,0", ",0,2"), {}, "line 2: column 'conversion' is '2'"),
    ("AliExpress", KUAIRAND, ("log_standard_1.csv", "", ""), {}, "holds no *train*.csv, but log_standard_1.csv"),
]


@pytest.mark.parametrize(("data", "tables", "change", "options", "expected"), PUBLISHED)
def test_published_layouts_that_are_not_as_published(
    data: str, tables: dict[str, str], change: Change, options: dict[str, str], expected: str, refused: Any
) -> None:
    folder = Path("published")
    folder.mkdir()
    for name, content in tables.items():
        wrong = name == change[0] and change[1] != ""
        (folder / name).write_text(content.replace(*change[1:]) if wrong else content)
    assert expected in refused(command(folder, data=data, **options))
