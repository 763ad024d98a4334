"""The pages on files and on TensorBoard name everything that runs leave, and nothing that they do not."""

import re
import sqlite3
from pathlib import Path

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from tests.docs.pages import DOCS, blocks, checkout
from tests.docs.skimming import CommandRunner

FILES = DOCS / "files_of_a_study.md"
TENSORBOARD = DOCS / "tensorboard.md"
LAYOUT_TAG = "custom_scalars__config__"
COMMANDS = r"""
python train.py search --model BiasedMF --model.embedding_dim 4 --data SyntheticInteractions \
    --data.num_interactions 2000 --root runs/study --rounds 2 --candidates 2 --warmup_updates 1 --references MSE \
    --alternate true --log_candidates true --finalists 1 --finalist_epochs 1 --finalist_seeds 2 --trainer.max_epochs 1 \
    --trainer.accelerator cpu
python train.py check runs/study --losses BCE
python train.py export runs/study --to python
python train.py compare --model BiasedMF --model.embedding_dim 4 --data SyntheticInteractions \
    --data.num_interactions 2000 --root runs/compared --losses MSE --learning_rates 1e-2 --weight_decays 0 --seeds 1 \
    --extensions 0 --refinements 0 --resamples 100 --trainer.max_epochs 1 --trainer.accelerator cpu
python train.py fit --config configs/multitask/synthetic/mmoe.yaml --model.embedding_dim 4 --model.bottom_dims [8] \
    --model.tower_dims [4] --data.num_sessions 300 --trainer.max_epochs 1 --trainer.accelerator cpu \
    --trainer.log_every_n_steps 1
python train.py fit --config configs/agents/synthetic_ddpg.yaml --data.impressions.num_sessions 300 \
    --model.actor lightning_logs/version_0/checkpoints/best.ckpt --model.init_training_step 1 \
    --trainer.max_epochs 1 --trainer.accelerator cpu
"""
RUNS = {
    "A search": "runs/study",
    "A check": "runs/study/check",
    "A comparison": "runs/compared",
    "A fit of several tasks": "lightning_logs/version_0",
    "A fit of an agent": "lightning_logs/version_1",
}
LAID_OUT = ["A search", "A fit of several tasks", "A fit of an agent"]


pytestmark = [pytest.mark.draws, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run all commands once, and return where."""
    runner = CommandRunner(checkout(tmp_path_factory.mktemp("runs") / "checkout"))
    runner.commands(COMMANDS.strip())
    return runner.folder


def section(page: Path, heading: str) -> str:
    """Return the text below a heading, up to the next one."""
    return re.split(r"^#+ ", page.read_text(encoding="utf-8").split(f" {heading}\n")[1], flags=re.MULTILINE)[0]


def first_cells(text: str) -> list[str]:
    """Return the names in the first column of a table."""
    rows = re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
    return [name for row in rows for name in re.findall("`(.*?)`", row)]


def pattern(name: str) -> str:
    """Return what a name matches: itself, anything for dots, or all of a folder."""
    return f"{re.escape(name)}.*" if name.endswith("/") else re.escape(name).replace(re.escape("..."), ".*")


def test_every_file_of_a_search_is_named(folder: Path) -> None:
    root = folder / "runs" / "study"
    files = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    names = first_cells(section(FILES, "A search"))
    unnamed = [file for file in files if not any(re.fullmatch(pattern(name), file) for name in names)]
    assert not unnamed
    absent = {name for name in names if not any(re.fullmatch(pattern(name), file) for file in files)}
    # The one is there while a search runs, the other is what an export to LaTeX writes.
    assert absent == {"writer.json", "loss_1.tex"}


@pytest.mark.parametrize("table", ["candidates", "children", "baseline_components", "finalists", "validated", "clock"])
def test_every_column_of_the_ledger_is_explained(folder: Path, table: str) -> None:
    connection = sqlite3.connect(folder / "runs" / "study" / "ledger.sqlite")
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    assert first_cells(section(FILES, f"The table `{table}`")) == columns


def test_the_columns_of_formulas_csv_are_named(folder: Path) -> None:
    columns = pd.read_csv(folder / "runs" / "study" / "formulas.csv").columns
    sentence = re.search(
        r"`formulas.csv` has the columns (.*?)as explained", section(FILES, "A search"), flags=re.DOTALL
    )
    assert sentence is not None
    assert re.findall("`(.*?)`", sentence[1]) == list(columns)


def test_the_columns_of_check_csv_are_named(folder: Path) -> None:
    columns = pd.read_csv(folder / "runs" / "study" / "check.csv").columns
    page = (DOCS / "algorithms" / "check.md").read_text(encoding="utf-8")
    named = {*re.findall("`(.*?)`", page)}
    ranged = {name for name in columns if name.startswith("least_at_")}
    assert {*columns} - named == ranged - {"least_at_0.1", "least_at_0.9"}


def test_the_ledger_is_read_as_the_page_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks(FILES):
        CommandRunner(folder).follow(block)
    assert re.search(r"[+-]0\.\d{4} .*pred", capsys.readouterr().out)


def events(run: Path) -> EventAccumulator:
    return EventAccumulator(str(run), size_guidance={"tensors": 0}).Reload()


def tags(run: Path) -> set[str]:
    """Return the names of everything that TensorBoard shows of a run, its own data for other pages left out."""
    runs = [run, *(run / "hparams").glob("*")]
    kinds = [events(each).Tags() for each in runs]
    found = {tag for tags in kinds for kind in ("scalars", "images", "tensors") for tag in tags[kind]}
    return {tag for tag in found if tag != LAYOUT_TAG and not tag.startswith("_hparams_")}


def charts(run: Path) -> dict[str, dict[str, str]]:
    """Return the pattern of every chart of a run's layout, as TensorBoard matches it."""
    shown = events(run)
    (written,) = shown.Tensors(LAYOUT_TAG)
    layout = Layout.FromString(written.tensor_proto.string_val[0])
    return {
        group.title: {chart.title: tag for chart in group.chart for (tag,) in [chart.multiline.tag]}
        for group in layout.category
    }


@pytest.mark.parametrize("heading", RUNS)
def test_what_a_run_shows_is_named_and_what_is_named_is_shown(heading: str, folder: Path) -> None:
    found = tags(folder / RUNS[heading])
    named = [pattern(name) for name in first_cells(section(TENSORBOARD, heading))]
    assert found
    assert not {tag for tag in found if not any(re.fullmatch(name, tag) for name in named)}
    assert not [name for name in named if not any(re.fullmatch(name, tag) for tag in found)]


@pytest.mark.parametrize("heading", LAID_OUT)
def test_custom_scalars_have_the_groups_of_the_page_and_curves_on_every_chart(heading: str, folder: Path) -> None:
    laid_out = charts(folder / RUNS[heading])
    assert re.findall(r"\*(\w+)\*", section(TENSORBOARD, heading)) == list(laid_out)
    scalars = events(folder / RUNS[heading]).Tags()["scalars"]
    patterns = [each for group in laid_out.values() for each in group.values()]
    assert not [each for each in patterns if not any(re.match(each, tag) for tag in scalars)]


def test_a_comparison_is_one_row_of_hyper_parameters(folder: Path) -> None:
    compared = events(folder / "runs" / "compared")
    content = compared.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert {b"model", b"data", b"baseline"} <= {*re.findall(rb"[a-z_]+", content)}


def test_charts_match_whole_names_only(folder: Path) -> None:
    losses = charts(folder / RUNS["A fit of an agent"])["Agent"]["actor loss and BC loss"]
    assert re.match(losses, "train/actor_loss")
    assert not re.match(losses, "train/actor_loss_of_another_kind")
