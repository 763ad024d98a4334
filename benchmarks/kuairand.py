"""Every multi-task model on KuaiRand-Pure, trained and tested by the commands that a user would type."""

import argparse
from pathlib import Path

import pandas as pd

from benchmarks.common.commands import run_command, settle
from benchmarks.common.report import table, write_report

CONFIGS = Path(__file__).resolve().parents[1] / "configs" / "multitask" / "kuairand"
MODELS = ("single_task", "shared_bottom", "esmm", "omoe", "mmoe", "ple", "aitm", "metaheac")
TASKS = ("click", "long_view")
METRICS = ("auc", "log_loss", "session_log_loss", "calibration")


def main() -> None:
    arguments = _arguments()
    settle()
    arms: list[tuple[str, str, list[str]]] = [("published", model, []) for model in arguments.models]
    arms += [("tuned", model, [f"--config={arguments.tuned}"]) for model in arguments.tuned_models if arguments.tuned]
    runs = []
    for seed in range(1, arguments.seeds + 1):
        for name, model, settings in arms:
            run = _run(model, seed, settings, arguments.root, arguments.output / f"{model}_{name}" / str(seed))
            runs.append({"settings": name, "model": model, "seed": seed, **run})
    write_report(
        "kuairand",
        title="Multi-task models on KuaiRand-Pure",
        parts=[*_parts(pd.DataFrame(runs)), *_settings(arguments.tuned)],
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder with KuaiRand-Pure")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--tuned", type=Path, help="configuration file on top, for a second table")
    parser.add_argument("--tuned_models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks/kuairand"), help="finished runs are kept")
    return parser.parse_args()


def _run(model: str, seed: int, settings: list[str], root: Path, folder: Path) -> dict[str, float]:
    """Train and test one model unless that has been done, and return its metrics."""
    options = [f"--config={CONFIGS / model}.yaml", *settings, f"--data.root={root}", f"--seed_everything={seed}"]
    options += ["--trainer.accelerator=cpu", "--trainer.logger=CSVLogger", "--trainer.enable_progress_bar=false"]
    options += ["--trainer.enable_model_summary=false"]
    if not (folder / "test" / "metrics.csv").exists():
        timer = "--trainer.callbacks+=benchmarks.common.epoch_timer.EpochTimer"
        checkpoints = f"--trainer.default_root_dir={folder}"
        run_command(["fit", *options, *_logger(folder, "fit"), timer, checkpoints])
        run_command(["test", *options, *_logger(folder, "test"), f"--ckpt_path={next(folder.rglob('best.ckpt'))}"])
    return _metrics(folder)


def _logger(folder: Path, name: str) -> list[str]:
    return [f"--trainer.logger.save_dir={folder}", f"--trainer.logger.name={name}", "--trainer.logger.version="]


def _metrics(folder: Path) -> dict[str, float]:
    """Return the test metrics, the best epoch and validation AUC, and the training rows a second."""
    fit = pd.read_csv(folder / "fit" / "metrics.csv")
    (test,) = pd.read_csv(folder / "test" / "metrics.csv").to_dict("records")
    validation = fit.dropna(subset="val/auc").set_index("epoch")["val/auc"]
    rate = fit["train/rows_per_second"].mean()
    return {**test, "val/auc": validation.max(), "best_epoch": int(validation.idxmax()) + 1, "rows_per_second": rate}


def _parts(runs: pd.DataFrame) -> list[str]:
    seeds = runs["seed"].nunique()
    parts = [
        "Trained to 2 May, validated on 3 and 4 May, tested on 5 to 8 May 2022; click is `is_click`, long view is "
        f"`is_click` and `long_view`. Mean and standard deviation of {seeds} seeds, each with the weights of the epoch "
        "whose mean validation AUC was best. Rows a second of processor time, whole training steps in one thread."
    ]
    for name, of_settings in runs.groupby("settings", sort=False):
        parts += [f"## Settings: {name}", _quality(of_settings), *[_losses(of_settings, task) for task in TASKS]]
    return parts


def _settings(tuned: Path | None) -> list[str]:
    return [] if tuned is None else ["## The tuned settings", f"```yaml\n{tuned.read_text(encoding='utf-8')}```"]


def _quality(runs: pd.DataFrame) -> str:
    columns = {"test/auc": "mean test AUC", **{f"test/auc/{task}": f"test AUC {task}" for task in TASKS}}
    columns |= {"val/auc": "mean validation AUC"}
    header = ["model", *columns.values(), "best epoch", "rows/s"]
    rows = []
    for model, each in runs.groupby("model", sort=False):
        epochs = "/".join(str(epoch) for epoch in each["best_epoch"])
        rate = f"{each['rows_per_second'].mean():,.0f}"
        rows.append([model, *[_spread(each[name]) for name in columns], epochs, rate])
    return table(header, rows)


def _losses(runs: pd.DataFrame, task: str) -> str:
    header = [task, "log-loss", "session log-loss", "predicted/observed", "AUC by user"]
    names = [f"test/{metric}/{task}" for metric in ("log_loss", "session_log_loss", "calibration", "grouped_auc")]
    rows = [[model, *[_spread(each[name]) for name in names]] for model, each in runs.groupby("model", sort=False)]
    return table(header, rows)


def _spread(values: pd.Series) -> str:
    return f"{values.mean():.4f} ± {values.std():.4f}"


if __name__ == "__main__":
    main()
