"""Statistics of an agent's updates, kept on the device for the log, and warnings of critics that fail."""

from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from datamodules.sessions.transitions import Transition
from lightning_modules.agents.settings import AgentSettings
from lightning_modules.core.trained_module import RunningMean

# Values that differ by less are those of a critic that answers the same whatever it is asked.
_NO_SPREAD = 1e-6
_EXTREMES = ("Q", "reward", "action")


class EpochObservation:
    """Means of losses and values over an epoch's updates, by name.

    Args:
        tasks: Names of the tasks, in the order of the columns.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        self.tasks = tuple(tasks)
        self._critics, self._actor = RunningMean(), RunningMean()
        self._widest: Tensor | None = None

    def add_critics(self, loss: Tensor, value: Tensor) -> None:
        """Take in an update of the critics.

        Args:
            loss: Loss of every task, float [tasks].
            value: The critics' values of the batch, float [n, tasks].
        """
        spread = value.std(dim=0, correction=0)
        self._critics.add(torch.stack([loss, value.mean(dim=0), spread]))
        self._widest = spread if self._widest is None else torch.maximum(self._widest, spread)

    def add_actor(self, loss: Tensor, bc_loss: Tensor) -> None:
        """Take in an update of the actor, both a single number."""
        self._actor.add(torch.stack([loss, bc_loss]))

    def means(self) -> dict[str, Tensor]:
        """Return the means so far; those of the actor if it was updated."""
        if not self._critics.count:
            return {}
        rows = zip(("critic_loss", "q_mean", "q_std"), self._critics.compute(), strict=True)
        named = {f"{name}/{task}": mean for name, row in rows for task, mean in zip(self.tasks, row, strict=True)}
        named["critic_loss"] = self._critics.compute()[0].mean()
        return named | self._actor_means()

    def _actor_means(self) -> dict[str, Tensor]:
        if not self._actor.count:
            return {}
        loss, bc_loss = self._actor.compute()
        return {"actor_loss": loss, "bc_loss": bc_loss}

    def constant_tasks(self) -> list[str]:
        """Return the tasks whose critic gave all rows of a batch the same value, in every batch."""
        if self._widest is None:
            return []
        scale = self._critics.compute()[1].abs().clamp(min=1)
        constant = (self._widest <= _NO_SPREAD * scale).tolist()
        return [task for task, is_constant in zip(self.tasks, constant, strict=True) if is_constant]

    def state_dict(self) -> dict[str, Any]:
        """Return the sums as plain values."""
        means = {"critics": self._critics.state_dict(), "actor": self._actor.state_dict()}
        return {**means, "widest": self._widest}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on from sums that were stored."""
        self._critics.load_state_dict(state["critics"], device)
        self._actor.load_state_dict(state["actor"], device)
        self._widest = None if state["widest"] is None else state["widest"].to(device)


class FiniteWatch:
    """Remembers the first update whose values or loss are not finite, and what its batch was like."""

    def __init__(self) -> None:
        self._step: Tensor | None = None
        self._extremes: Tensor | None = None

    def add(self, step: int, loss: Tensor, value: Tensor, rows: Transition) -> None:
        """Look at an update of the critics without waiting for the device.

        Args:
            step: Number of the update, from 1.
            loss: Loss of every task, float [tasks].
            value: The critics' values of the batch, float [n, tasks].
            rows: The batch.
        """
        extremes = torch.stack([extreme for each in (value, rows.reward, rows.action) for extreme in each.aminmax()])
        if self._step is None or self._extremes is None:
            self._step, self._extremes = torch.zeros((), dtype=torch.int64, device=loss.device), extremes
        # The sums are not finite if anything in them is not.
        is_first = ~torch.isfinite(loss.sum() + value.sum()) & (self._step == 0)
        self._step = torch.where(is_first, step, self._step)
        self._extremes = torch.where(is_first, extremes, self._extremes)

    def check(self) -> None:
        """Wait for the device, and complain if there was such an update.

        Raises:
            RuntimeError: If there was; it names the update and the extremes of its batch.
        """
        if self._step is None or self._extremes is None or not int(self._step):
            return
        pairs = self._extremes.view(-1, 2).tolist()
        spans = [f"{name} from {low:g} to {high:g}" for name, (low, high) in zip(_EXTREMES, pairs, strict=True)]
        raise RuntimeError(
            f"the critics' values or loss stopped being finite at update {int(self._step)}, in a batch with "
            f"{', '.join(spans)}. Lower critic_lr or gamma, clip with gradient_clip_val, or look for outliers in the "
            "numerical features"
        )


class ConstantWarning:
    """Warns of a critic whose value does not vary, once for each task."""

    def __init__(self) -> None:
        self._warned: set[str] = set()

    def warn(self, tasks: Sequence[str]) -> None:
        """Warn of the critics of these tasks, except of those warned of before."""
        for task in (task for task in tasks if task not in self._warned):
            self._warned.add(task)
            rank_zero_warn(
                f"the critic of '{task}' gave every row of a batch the same value throughout an epoch, so it tells no "
                "action from another and weighs all rows alike; with critic_activation='relu' it has probably died: "
                "use 'softplus', or another seed"
            )


class IdleActorWarning:
    """Warns, once a training, of an actor that is to learn and is never updated.

    Args:
        settings: The agent's hyper-parameters.
    """

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self._warned = False

    def warn(self, updates: int, *, ended: bool) -> None:
        """Warn of a training with too few updates of the critics for one of the actor.

        Args:
            updates: Updates of the critics, all that there were or the most that there can be.
            ended: Whether the training has ended.
        """
        settings = self._settings
        if self._warned or settings.actor_frozen or settings.actor_updates(updates):
            return
        self._warned = True
        happens = "was not updated: there were" if ended else "will not be updated: there are at most"
        rank_zero_warn(
            f"the actor {happens} {updates} updates of the critics, and its first one comes at number "
            f"{settings.init_training_step + settings.actor_update_freq}. Set the agent's init_training_step, which is "
            f"{settings.init_training_step}, to fewer updates, train longer, or set actor_frozen to true if "
            "the critics alone are to learn"
        )
