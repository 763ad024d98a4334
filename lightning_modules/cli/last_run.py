"""Finds the run, and its newest checkpoint, that ``--ckpt_path last`` means."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

from lightning_modules.core.run_config import CONFIG_NAME, changed_settings, current_settings
from lightning_modules.utilities.folder_lock import folder_lock
from lightning_modules.utilities.messages import listed
from lightning_modules.utilities.processes import is_first
from lightning_modules.utilities.serialization import load_plain, reason_of, weights_of

#: Settings that must be equal for a run to be resumed, and those among them that may differ.
_FIXED, _FREE = ("model", "data", "seed_everything"), ("data.init_args.eval_batch_size",)
_SHOWN = 3
#: Where a run keeps its checkpoints; one without a logger keeps its settings in the first.
CHECKPOINTS = "checkpoints"
_FOLDERS = (CHECKPOINTS, "resume")
#: What Lightning needs of a checkpoint to train on.
_RESUMED = {"state_dict": Mapping, "optimizer_states": list, "lr_schedulers": list, "loops": Mapping}


def last_checkpoint(root: Path, save_config: Callable[[Path], object], *, resumes: bool) -> Path:
    """Return the newest checkpoint of the newest run below a folder that had the same model, data and seed.

    A damaged checkpoint is skipped with a warning: resuming from the one before gives the same result, only later.

    Args:
        root: Folder that holds runs as Lightning's loggers lay them out, or the files of one run.
        save_config: Writes the current configuration to a path.
        resumes: Whether a training is to go on from the checkpoint, for which it must be more than weights.

    Raises:
        FileNotFoundError: If there is no such run.
        ValueError: If none of its checkpoints can be used.
    """
    files = _runs(root)
    runs = sorted(files, key=lambda run: _age(_checkpoints(run)[0]))
    with current_settings(save_config) as now:
        changes = {run: changed_settings(files[run], now, fixed=_FIXED, without=_FREE) for run in runs}
    chosen = next((run for run, changed in changes.items() if not changed), None)
    if chosen is None:
        raise FileNotFoundError(_no_run(root, changes))
    return _newest_usable(_checkpoints(chosen), resumes=resumes)


def logger_of(checkpoint: Path, root: Path) -> TensorBoardLogger | None:
    """Return a logger that goes on in the folder of a checkpoint's run; ``None`` if loggers made no folder for it."""
    run = checkpoint.parent.parent
    if run.resolve() == root.resolve():
        return None
    return TensorBoardLogger(run.parent.parent, name=run.parent.name, version=run.name, default_hp_metric=False)


@contextmanager
def run_lock(trainer: pl.Trainer) -> Iterator[None]:
    """Lock a run's folder against a second training.

    Raises:
        ValueError: If another process does.
    """
    folder = trainer.log_dir or trainer.default_root_dir
    keeps = trainer.checkpoint_callbacks and not trainer.fast_dev_run  # type: ignore[attr-defined]  # set elsewhere
    # Only the first process writes.
    if not keeps or not is_first():
        yield
        return
    with folder_lock(Path(folder), "training", "leave --ckpt_path out to train in a new folder"):
        yield


def _runs(root: Path) -> dict[Path, Path]:
    """Return the runs that have left checkpoints, each with the file of its settings."""
    files = {path.parent: path for path in (root / CONFIG_NAME, *root.glob(f"*/*/{CONFIG_NAME}"))}
    beside = root / CHECKPOINTS / CONFIG_NAME
    if beside.is_file():
        # What lies in the folder itself may be a file of the user's.
        files[root] = beside
    return {run: path for run, path in files.items() if path.is_file() and _checkpoints(run)}


def _checkpoints(run: Path) -> list[Path]:
    return sorted((path for name in _FOLDERS for path in (run / name).glob("*.ckpt")), key=_age)


def _age(path: Path) -> int:
    return -path.stat().st_mtime_ns


def _newest_usable(paths: list[Path], *, resumes: bool) -> Path:
    problems: list[str] = []
    for path in paths:
        problem = _problem(path, resumes=resumes)
        if problem is None:
            for each in problems:
                warnings.warn(f"{each}; taking {path} instead", stacklevel=2)
            return path
        problems.append(problem)
    raise ValueError(f"{'; '.join(problems)}. Leave --ckpt_path out to train from the start")


def _problem(path: Path, *, resumes: bool) -> str | None:
    try:
        stored = load_plain(path)
    except Exception as error:  # a damaged file may raise anything
        return f"{path} is damaged, or no checkpoint ({type(error).__name__}: {reason_of(error)})"
    needed = _RESUMED if resumes else {"state_dict": Mapping}
    if not isinstance(stored, Mapping):
        return f"{path} is no checkpoint, but a {type(stored).__name__}"
    missing = sorted(name for name, kind in needed.items() if not isinstance(stored.get(name), kind))
    if missing:
        return f"{path} lacks {', '.join(missing)}"
    return None if weights_of(stored) else f"{path} holds no weights"


def _no_run(root: Path, changes: dict[Path, list[str]]) -> str:
    advice = "Leave --ckpt_path out to train from the start, or name a checkpoint file"
    if not changes:
        return f"--ckpt_path last: no run below '{root.absolute()}' has left a checkpoint. {advice}"
    run, changed = min(changes.items(), key=lambda each: len(each[1]))
    return (
        "--ckpt_path last goes on with the newest run that had the same model, data and seed, and there is none: of "
        f"'{run}', the most similar, {listed(changed, _SHOWN)}. {advice}"
    )
