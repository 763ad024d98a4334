"""The page on TensorBoard names every curve, figure and text that runs leave, and none that they do not."""

import re
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from tests.docs.pages import DOCS, Reader, checkout

PAGE = (DOCS / "tensorboard.md").read_text(encoding="utf-8")
LAYOUT_TAG = "custom_scalars__config__"
COMMANDS = r"""
python train.py search --model BiasedMF --model.embedding_dim 4 --data SyntheticInteractions \
    --data.num_interactions 2000 --root runs/study --rounds 2 --candidates 2 --warmup_updates 1 --references MSE \
    --alternate true --trainer.max_epochs 1 --trainer.accelerator cpu
python train.py check runs/study --losses BCE
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    reader = Reader(checkout(tmp_path_factory.mktemp("tensorboard") / "checkout"))
    reader.commands(COMMANDS.strip())
    return reader.folder


def section(heading: str) -> str:
    return re.split(r"^## ", PAGE.split(f"## {heading}\n")[1], flags=re.MULTILINE)[0]


def named(heading: str) -> list[str]:
    """Return the names in the first column of a section's table, as patterns: dots stand for anything."""
    rows = re.findall(r"^\| (`.*?) \|", section(heading), flags=re.MULTILINE)
    return [re.escape(name).replace(re.escape("..."), ".*") for row in rows for name in re.findall("`(.*?)`", row)]


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
        group.title: {chart.title: pattern for chart in group.chart for (pattern,) in [chart.multiline.tag]}
        for group in layout.category
    }


@pytest.mark.parametrize("heading", RUNS)
def test_what_a_run_shows_is_named_and_what_is_named_is_shown(heading: str, folder: Path) -> None:
    found = tags(folder / RUNS[heading])
    assert found
    assert not {tag for tag in found if not any(re.fullmatch(name, tag) for name in named(heading))}
    assert not [name for name in named(heading) if not any(re.fullmatch(name, tag) for tag in found)]


@pytest.mark.parametrize("heading", LAID_OUT)
def test_custom_scalars_have_the_groups_of_the_page_and_curves_on_every_chart(heading: str, folder: Path) -> None:
    laid_out = charts(folder / RUNS[heading])
    assert re.findall(r"\*(\w+)\*", section(heading)) == list(laid_out)
    scalars = events(folder / RUNS[heading]).Tags()["scalars"]
    patterns = [pattern for group in laid_out.values() for pattern in group.values()]
    assert not [pattern for pattern in patterns if not any(re.match(pattern, tag) for tag in scalars)]


def test_the_hyper_parameters_of_every_result_are_there(folder: Path) -> None:
    runs = sorted((folder / "runs" / "compared" / "hparams").iterdir())
    assert [run.name.split("-")[0] for run in runs] == ["BCE", "MSE"]
    for run in runs:
        content = events(run).summary_metadata["_hparams_/session_start_info"].plugin_data.content
        assert {b"loss", b"group", b"learning_rate", b"weight_decay", b"seed"} <= {*re.findall(rb"[a-z_]+", content)}


def test_charts_match_whole_names_only(folder: Path) -> None:
    pattern = charts(folder / RUNS["A fit of an agent"])["Agent"]["actor loss and BC loss"]
    assert re.match(pattern, "train/actor_loss")
    assert not re.match(pattern, "train/actor_loss_of_another_kind")
