"""The folder of a study: its lock, settings, fingerprint of the data, ledger and snapshots."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from lightning_modules.core.run_config import CONFIG_NAME, continue_with, continue_with_data
from lightning_modules.search.answer import FinalistRun
from lightning_modules.search.ledger import LEDGER_NAME, Ledger, check_ledger, read_finalists, read_seconds, read_trials
from lightning_modules.search.limits import SearchClock
from lightning_modules.search.schedule import BestCandidate
from lightning_modules.search.snapshots import Snapshots
from lightning_modules.search.trial import Evaluation, TrialKey
from lightning_modules.utilities.files import remove_leftovers
from lightning_modules.utilities.folder_lock import folder_lock

#: The settings that a study is continued with unchanged, and those among them that do not affect its results.
_FIXED = ("model", "data", "trainer", "seed_everything", "search")
_FREE = (
    *(f"search.{name}" for name in ("root", "rounds", "time_budget", "patience")),
    *(f"search.{name}" for name in ("top", "most_failures", "log_candidates")),
    *(f"search.{name}" for name in ("executor", "workers", "child_timeout", "ray_address", "gpus_per_child")),
    # Kernels train to the same results up to rounding, and studies of earlier versions do not name them.
    "search.fused",
    # Nor how finalists are trained, which changes no trial.
    *(f"search.{name}" for name in ("finalists", "finalist_seeds", "finalist_epochs", "validate_every")),
    # Nor these, which matter before the first round alone.
    *(f"search.strategy.init_args.{name}" for name in ("warmup_batch", "warmup_least_uniform")),
    # Of an earlier surrogate, which was another in these studies; what it had learned from, today's learns from.
    "search.strategy.init_args.guidance",
    *(f"trainer.{name}" for name in ("logger", "enable_progress_bar", "enable_model_summary")),
)
#: The settings that studies of earlier versions do not have, and what they did, or are continued with.
_ADDED = {
    "search.node_price": 0.0,
    "search.normalize_scale": False,
    "search.strategy.init_args.exploration": 1.0,
    "search.strategy.init_args.update_draws": 1024,
}


class StudyFolder:
    """Reads a study for every process of a search, and writes it for the first of them.

    Args:
        root: The folder.
        writes: Whether this is the process that writes.
        check_state: Raises if the search cannot continue from the contents of a snapshot.

    Attributes:
        state: The newest snapshot of the search; ``None`` in a new study, or if all are damaged.
        known: The finished trials.
        clock: The time that the search has taken.
        finalists: The trainings of the finished finalists, by name.
        ledger: Records trials and candidates; ``None`` in a process that does not write.
    """

    def __init__(self, root: Path, *, writes: bool, check_state: Callable[[Any], object] = lambda _: None) -> None:
        self.root = root
        self.writes = writes
        self.snapshots = Snapshots(root, check=check_state)
        self.state: dict[str, Any] | None = None
        self.clock = SearchClock()
        self.known: Mapping[TrialKey, Evaluation] = {}
        self.finalists: Mapping[str, Sequence[FinalistRun]] = {}
        self.ledger: Ledger | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for this process, and close the ledger at the end.

        Raises:
            ValueError: If another process has locked it.
        """
        if not self.writes:
            yield
            return
        with folder_lock(self.root, "search", "name another folder with --search.root"):
            remove_leftovers(self.root)
            remove_leftovers(self.snapshots.folder)
            try:
                yield
            finally:
                if self.ledger is not None:
                    self.ledger.close()

    def open(self, save_config: Callable[[Path], object], datamodule: object) -> None:
        """Read the study that is there, if any, and write its settings and the fingerprint of its data.

        Args:
            save_config: Writes the configuration to a path.
            datamodule: The data, before rows are held out for rewards.

        Raises:
            OSError: If the folder cannot be written.
            ValueError: If the study was begun with other settings or data, or cannot be continued.
        """
        self.state = self.snapshots.newest()
        self._read_ledger()
        if not self.begun:
            # Failures alone may come from a command that was corrected since.
            self.known = {}
        if not self.writes:
            return
        fixed = _FIXED if self.begun else ()
        continue_with(self.root / CONFIG_NAME, save_config, fixed=fixed, without=_FREE, added=_ADDED)
        continue_with_data(self.root, datamodule, begun=self.begun)
        self.ledger = Ledger(self.root, self.clock)

    @property
    def begun(self) -> bool:
        """Whether the folder holds a snapshot or a trained trial to continue from."""
        return self.state is not None or any(trial.score is not None for trial in self.known.values())

    def record(self, trials: Sequence[tuple[TrialKey, Evaluation]]) -> None:
        """Write finished trials to disk, in the process that writes."""
        if self.ledger is not None:
            self.ledger.record(trials)

    def record_finalist(self, runs: Sequence[FinalistRun]) -> None:
        """Write the trainings of a finalist to disk, in the process that writes."""
        if self.ledger is not None:
            self.ledger.record_finalist(runs)

    def best_candidate(self) -> BestCandidate:
        """Return the weights of a round's best candidate as they are kept in the folder."""
        return BestCandidate(self.root / "best_child.pt", writes=self.writes)

    def announce(self, console: Console) -> None:
        """Print what the search continues from, if it does."""
        if not self.begun:
            return
        rounds = 0 if self.state is None else self.state["rounds"]
        trained = f"{len(self.known)} finished trials" if self.known else "no finished trials"
        finalists = f", {len(self.finalists)} trained finalists" if self.finalists else ""
        line = f"Continuing the study in {self.root}: {trained}{finalists}, state of round {rounds}."
        console.print(line, highlight=False)

    def _read_ledger(self) -> None:
        if not (self.root / LEDGER_NAME).exists():
            return
        try:
            check_ledger(self.root)
            self.known, self.finalists = read_trials(self.root), read_finalists(self.root)
            self.clock = SearchClock(read_seconds(self.root))
        except ValueError as error:
            self._set_ledger_aside(error)

    def _set_ledger_aside(self, error: ValueError) -> None:
        """Rename the ledger, so that a new one is filled with the candidates of the snapshot's finished rounds."""
        if self.state is None:
            raise error
        if self.writes:
            ledger = self.root / LEDGER_NAME
            aside = ledger.with_suffix(".damaged")
            warnings.warn(
                f"{error}. It is kept as '{aside.name}'; the search goes on from round {self.state['rounds']}, whose "
                "candidates its state holds",
                stacklevel=2,
            )
            ledger.replace(aside)
            ledger.with_name(f"{LEDGER_NAME}-journal").unlink(missing_ok=True)
