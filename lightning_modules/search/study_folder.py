"""The folder of a study: who writes it, what it was begun with, and how far it has come."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from lightning_modules.core.run_config import CONFIG_NAME, continue_with, continue_with_data
from lightning_modules.search.best_child import BestCandidate
from lightning_modules.search.evaluation import Evaluation
from lightning_modules.search.ledger import LEDGER_NAME, Ledger, check_ledger, read_trials
from lightning_modules.search.places import TrialKey
from lightning_modules.search.snapshots import Snapshots
from lightning_modules.utilities.files import remove_leftovers
from lightning_modules.utilities.folder_lock import folder_lock

#: What a study that is continued must have been begun with, and what of that may change since it decides nothing.
_FIXED = ("model", "data", "trainer", "seed_everything", "search")
_FREE = (
    *(f"search.{name}" for name in ("root", "rounds", "top", "most_failures", "log_candidates")),
    *(f"search.{name}" for name in ("executor", "workers", "child_timeout", "ray_address", "gpus_per_child")),
    *(f"trainer.{name}" for name in ("logger", "enable_progress_bar", "enable_model_summary")),
)


class StudyFolder:
    """Reads a study for every process of a search, and writes it for the first of them.

    Args:
        root: The folder.
        writes: Whether this is the process that writes.
        check_state: Raises if the search cannot go on from what a file of a state holds.

    Attributes:
        state: The newest state of the search; ``None`` in a new study, or if all are damaged.
        known: The children that are trained already.
        ledger: Where children and candidates are recorded; ``None`` in a process that does not write.
    """

    def __init__(self, root: Path, *, writes: bool, check_state: Callable[[Any], object] = lambda _: None) -> None:
        self.root = root
        self.writes = writes
        self.states = Snapshots(root, check=check_state)
        self.state: dict[str, Any] | None = None
        self.known: Mapping[TrialKey, Evaluation] = {}
        self.ledger: Ledger | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one that writes; the ledger is closed at the end.

        Raises:
            ValueError: If another process does.
        """
        if not self.writes:
            yield
            return
        with folder_lock(self.root, "search", "name another folder with --search.root"):
            remove_leftovers(self.root)
            remove_leftovers(self.states.folder)
            try:
                yield
            finally:
                if self.ledger is not None:
                    self.ledger.on_end()

    def open(self, save_config: Callable[[Path], object], datamodule: object) -> None:
        """Read how far the study has come, if there is one, and write its settings and the fingerprint of its data.

        Args:
            save_config: Writes the configuration to a path.
            datamodule: The data, before any of it is held out for rewards.

        Raises:
            OSError: If the folder cannot be written.
            ValueError: If the study was begun with other settings or data, or cannot be continued.
        """
        self.state = self.states.newest()
        self.known = self._children()
        if not self.begun:
            # Failures alone may be those of a command that was corrected since.
            self.known = {}
        if not self.writes:
            return
        fixed = _FIXED if self.begun else ()
        continue_with(self.root / CONFIG_NAME, save_config, fixed=fixed, without=_FREE)
        continue_with_data(self.root, datamodule, begun=self.begun)
        self.ledger = Ledger(self.root)

    @property
    def begun(self) -> bool:
        """Whether anything is there that a search would go on from."""
        return self.state is not None or any(child.score is not None for child in self.known.values())

    def record(self, children: Sequence[tuple[TrialKey, Evaluation]]) -> None:
        """Write trained children to disk, in the process that writes."""
        if self.ledger is not None:
            self.ledger.record(children)

    def best_child(self) -> BestCandidate:
        """Return the keeper of a round's best weights."""
        return BestCandidate(self.root / "best_child.pt", writes=self.writes)

    def announce(self, console: Console) -> None:
        """Say what is there, if anything is."""
        if not self.begun:
            return
        rounds = 0 if self.state is None else self.state["rounds"]
        trained = f"{len(self.known)} trained children" if self.known else "no trained children"
        console.print(f"Continuing the study in {self.root}: {trained}, state of round {rounds}.", highlight=False)

    def _children(self) -> Mapping[TrialKey, Evaluation]:
        if not (self.root / LEDGER_NAME).exists():
            return {}
        try:
            check_ledger(self.root)
            return read_trials(self.root)
        except ValueError as error:
            self._set_ledger_aside(error)
            return {}

    def _set_ledger_aside(self, error: ValueError) -> None:
        """Make room for a new ledger, which takes the candidates of finished rounds from the state."""
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
