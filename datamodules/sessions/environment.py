"""Logged sessions as a gymnasium environment, in which agents can be tried out step by step."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from numpy.typing import ArrayLike
from torch import Tensor

from datamodules.batches import ImpressionBatch
from datamodules.impressions.datamodule import ImpressionsDataModule
from datamodules.sessions.datamodule import SessionsDataModule
from datamodules.sessions.rewards import reward_function

Observation = dict[str, np.ndarray]


class SessionEnv(gymnasium.Env[Observation, ArrayLike]):
    """Plays logged sessions: the agent sees a row's features and predicts a probability for every task.

    The Markov decision process of Liu et al., "Multi-Task Recommendations with Reinforcement Learning", WWW 2023,
    https://arxiv.org/abs/2302.03328. The action earns a reward by the labels of the row that was seen; then comes the
    session's next logged row, whatever the action. After the last row the episode is terminated, and that row is
    observed once more; it is never truncated.

    An observation is a dictionary of ``categorical``, int64 [fields], and ``numerical``, float32 [features]; a part
    without columns is left out. With ``sequence`` it holds all rows of the session so far, the newest last: int64
    [rows, fields] and float32 [rows, features]. Their space is a stacked ``gymnasium.spaces.Sequence``, whose length is
    that of the session so far; a ``Box`` would have to be padded to the longest session and need a mask besides.

    The information of a step holds ``reward`` and ``label``, float32 [tasks], and ``session``, its number, which that
    of a reset holds too. For actions in another range wrap the environment in ``gymnasium.wrappers.RescaleAction``.

    Args:
        rows: The logged rows; those of a session follow one another in the order in which they stand.
        field_sizes: Number of indices of every categorical field, that of unknown values included.
        tasks: Name of every task, in the order of the labels' columns.
        reward: What an action earns in every task, see :func:`reward_function`; the step's reward is the sum.
        sequence: Whether all rows of the session so far are observed.

    Raises:
        ValueError: If there are no rows or no features, fields or tasks differ from those of the rows, or there is no
            such reward.
    """

    def __init__(
        self,
        rows: ImpressionBatch,
        *,
        field_sizes: Sequence[int],
        tasks: Sequence[str],
        reward: str = "log_loss",
        sequence: bool = False,
    ) -> None:
        _check_rows(rows, field_sizes, tasks)
        self.tasks = tuple(tasks)
        self.sequence = sequence
        self._reward = reward_function(reward)
        self._sessions = _Sessions(rows.session)
        self._label = rows.label.cpu()
        parts = {"categorical": rows.categorical, "numerical": rows.numerical}
        self._parts = {name: part.numpy(force=True) for name, part in parts.items() if part.shape[1]}
        row = _row_space(field_sizes, rows.numerical.shape[1])
        self.observation_space: spaces.Space[Any] = spaces.Sequence(row, stack=True) if sequence else row
        self.action_space: spaces.Space[Any] = spaces.Box(0, 1, (len(self.tasks),))
        self._places, self._position = np.empty(0, dtype=np.int64), 0

    @classmethod
    def of(cls, datamodule: ImpressionsDataModule | SessionsDataModule, split: str = "train", **options: Any) -> Self:
        """Return the environment of one split of a data module.

        Args:
            datamodule: The impressions.
            split: "train", "validation" or "test".
            **options: ``reward`` and ``sequence``.

        Raises:
            ValueError: If there is no such split or reward.
        """
        datamodule.setup()
        if split not in datamodule.rows:
            raise ValueError(f"there is no split '{split}'; choose among {', '.join(datamodule.rows)}")
        return cls(datamodule.rows[split], field_sizes=datamodule.field_sizes, tasks=datamodule.tasks, **options)

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a session and return its first row.

        Args:
            seed: Seed of the sessions that are drawn from now on.
            options: ``{"session": number}`` plays the session that has this number in the rows; else one is drawn, each
                as likely as the others.

        Raises:
            ValueError: If there is no such session or option.
        """
        super().reset(seed=seed)
        unknown = set(options or ()) - {"session"}
        if unknown:
            raise ValueError(f"reset has no option '{unknown.pop()}'; its only one is session, the number of a session")
        number = options["session"] if options else self._sessions.draw(self.np_random)
        self._places, self._position = self._sessions.places(number), 0
        self._session = int(number)
        return self._observation(), {"session": self._session}

    def step(self, action: ArrayLike) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Reward one probability a task, shape [tasks], and go on to the next row.

        Raises:
            ResetNeeded: If no session has begun, or it is over.
            ValueError: If the action has another shape or is not within [0, 1].
        """
        if self._position >= len(self._places):
            raise ResetNeeded("no session has begun, or it is over; call reset() before step()")
        label = self._label[self._places[self._position]].clone()
        reward = self._reward(self._checked(action), label)
        self._position += 1
        information = {"reward": reward.numpy(), "label": label.numpy(), "session": self._session}
        terminated = self._position == len(self._places)
        return self._observation(), float(reward.sum()), terminated, False, information

    def _observation(self) -> Observation:
        last = min(self._position, len(self._places) - 1)
        if self.sequence:
            return {name: part[self._places[: last + 1]] for name, part in self._parts.items()}
        # A copy: what has been returned must not change if the data's tensors do.
        return {name: part[self._places[last]].copy() for name, part in self._parts.items()}

    def _checked(self, action: ArrayLike) -> Tensor:
        values = np.array(action, dtype=np.float32)
        if values.shape != (len(self.tasks),):
            raise ValueError(
                f"the action has the shape {values.shape}; give one probability a task ({', '.join(self.tasks)}), "
                f"shape {(len(self.tasks),)}"
            )
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError(
                f"the action {values.tolist()} is not within [0, 1]; give probabilities, or wrap the environment in "
                "gymnasium.wrappers.RescaleAction"
            )
        return torch.from_numpy(values)


class _Sessions:
    """Where the rows of every session stand."""

    def __init__(self, session: Tensor) -> None:
        numbers = session.numpy(force=True)
        self._order = numbers.argsort(kind="stable")
        self._numbers, self._first = np.unique(numbers[self._order], return_index=True)

    def draw(self, generator: np.random.Generator) -> int:
        return int(generator.choice(self._numbers))

    def places(self, number: int) -> np.ndarray:
        found = np.flatnonzero(self._numbers == number)
        if len(found) != 1:
            raise ValueError(
                f"there is no session {number!r} in these {len(self._order)} rows; name one by its number in their "
                "column session, or none to have one drawn"
            )
        begin, end = np.append(self._first, len(self._order))[found[0] :][:2]
        return self._order[begin:end]


def _row_space(field_sizes: Sequence[int], num_numerical: int) -> spaces.Dict:
    parts: dict[str, spaces.Space[Any]] = {}
    if field_sizes:
        parts["categorical"] = spaces.MultiDiscrete(list(field_sizes))
    if num_numerical:
        # Bounds that are the same for every split, and finite since gymnasium warns of those that are not.
        limit = np.finfo(np.float32).max
        parts["numerical"] = spaces.Box(-limit, limit, (num_numerical,))
    return spaces.Dict(parts)


def _check_rows(rows: ImpressionBatch, field_sizes: Sequence[int], tasks: Sequence[str]) -> None:
    size, num_fields = rows.categorical.shape
    if size == 0 or num_fields + rows.numerical.shape[1] == 0:
        raise ValueError("there are no rows to play, or they have no features; give rows with at least one column")
    if rows.label.shape[1] != len(tasks):
        raise ValueError(f"the rows have {rows.label.shape[1]} labels for {len(tasks)} tasks ({', '.join(tasks)})")
    if num_fields != len(field_sizes):
        raise ValueError(f"the rows have {num_fields} categorical fields for {len(field_sizes)} field_sizes")
    for field, (most, limit) in enumerate(zip(rows.categorical.amax(dim=0).tolist(), field_sizes, strict=True)):
        if most >= limit:
            raise ValueError(f"categorical field {field} has the index {most}, and its field_size is only {limit}")
