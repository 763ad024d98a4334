"""What hostile inputs start from: commands that work, and what such commands leave behind."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

INTERACTIONS = (
    "--model=BiasedMF",
    "--model.embedding_dim=4",
    "--data=SyntheticInteractions",
    "--data.num_users=40",
    "--data.num_items=30",
    "--data.num_interactions=800",
)
IMPRESSIONS = (
    "--model=SharedBottom",
    "--model.embedding_dim=4",
    "--model.bottom_dims=[8]",
    "--model.tower_dims=[4]",
    "--data=SyntheticImpressions",
    "--data.num_sessions=60",
)
SESSIONS = (
    "--data=SessionsDataModule",
    "--data.impressions=SyntheticImpressions",
    "--data.impressions.num_sessions=60",
    "--data.batch_size=64",
)
TRAINER = (
    "--trainer.accelerator=cpu",
    "--trainer.max_epochs=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
)
QUIET = ("--trainer.logger=false", "--trainer.enable_checkpointing=false")
#: Of interactions from a file: all but the file.
TABLE = (
    *INTERACTIONS[:2],
    "--data=InteractionsDataModule",
    "--data.user_column=user",
    "--data.item_column=item",
    "--data.label_column=label",
)
#: Of impressions from a file: all but the file and the names of its columns.
WIDE_TABLE = (*IMPRESSIONS[:4], "--data=ImpressionsDataModule")

_BUDGET = ("--rounds=1", "--candidates=2", "--warmup_updates=1", "--draws=128", "--strategy=RandomSearch")
_SHORT_POLISH = ("--seeds=1", "--agent_epochs=1", "--fine_tuning_epochs=1", "--resamples=20")

FIT = ("fit", *INTERACTIONS, *TRAINER, *QUIET)
VALIDATE = ("validate", *INTERACTIONS, *TRAINER, *QUIET)
TEST = ("test", *INTERACTIONS, *TRAINER, *QUIET)
PREDICT = ("predict", *INTERACTIONS, *TRAINER, *QUIET, "--ckpt_path={base}/model.ckpt")
SEARCH = ("search", *INTERACTIONS, *TRAINER, *_BUDGET, "--references=[]", "--root=study")
COMPARE = (
    "compare",
    *INTERACTIONS,
    *TRAINER,
    "--root=comparison",
    "--losses=MSE",
    "--seeds=1",
    "--extensions=0",
    "--refinements=0",
    "--learning_rates=0.01",
    "--weight_decays=0",
    "--resamples=20",
)
POLISH = ("polish", *IMPRESSIONS, *TRAINER, *_SHORT_POLISH, "--root=polished")
CHECK = ("check", "--formulas=(label-pred)**2", "--points=20", "--figures=0", "--root=checked")
EXPORT = ("export", "{base}/study", "--output=loss.py")
REPORT = ("report", "{base}/study", "--output=report.html")
ONNX = ("export", "{base}/model.ckpt", "--to=onnx", "--output=model.onnx")

COMMANDS = {
    "fit": FIT,
    "validate": VALIDATE,
    "test": TEST,
    "predict": PREDICT,
    "search": SEARCH,
    "compare": COMPARE,
    "polish": POLISH,
    "check": CHECK,
    "report": REPORT,
    "export": EXPORT,
}


#: Of what the commands below leave.
STUDY, MODEL, SEVERAL_TASKS, AGENT = "study", "model.ckpt", "several_tasks.ckpt", "agent.ckpt"


def build(folder: Path, run: Callable[[Sequence[str], Path], object]) -> None:
    """Write tables, a study, and checkpoints of a recommender, a multi-task model and an agent into a folder.

    Args:
        folder: The folder; made if it is not there.
        run: Runs a command line in a folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_tables(folder)
    run(SEARCH, folder)
    agent = ("--model=DDPG", f"--model.actor={SEVERAL_TASKS}", "--model.actor_frozen=true", "--model.embed_dim=4")
    sizes = ("--model.bottom_mlp_dims=[4]", "--model.tower_mlp_dims=[4]")
    for name, arguments in (
        (MODEL, INTERACTIONS),
        (SEVERAL_TASKS, IMPRESSIONS),
        (AGENT, (*agent, *sizes, *SESSIONS)),
    ):
        root = f"--trainer.default_root_dir={Path(name).stem}"
        run(("fit", *arguments, *TRAINER, root, "--trainer.callbacks=LastCheckpoint"), folder)
        shutil.copy(folder / Path(name).stem / "lightning_logs/version_0/checkpoints/last.ckpt", folder / name)


def _write_tables(folder: Path) -> None:
    random = np.random.default_rng(0)
    pairs = {"user": random.integers(0, 20, 300), "item": random.integers(0, 10, 300)}
    pd.DataFrame({**pairs, "label": random.integers(0, 2, 300)}).to_csv(folder / "shop.csv", index=False)
    # Names that YAML reads as something else than text.
    wide = {name: random.integers(0, 5, 300) for name in ("101", "121", "yes", "on", "null", "1e3", "true", "~")}
    pd.DataFrame({"click": random.integers(0, 2, 300), **wide}).to_csv(folder / "wide.csv", index=False)
