"""Logged sessions as the transitions of a Markov decision process."""

from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.batches import ImpressionBatch
from datamodules.sessions.rewards import Reward


class LoggedTransition(NamedTuple):
    """Logged rows with the row that follows in the session; what is predicted for a row does not change what follows.

    Attributes:
        categorical: Index of the category within its field, int64, shape [n, fields].
        numerical: Standardised features, float32, shape [n, features]; features may be 0.
        label: 0 or 1, float32, shape [n, tasks].
        next_categorical: ``categorical`` of the session's next row; of the row itself if it is the last.
        next_numerical: ``numerical`` of the same row.
        done: Whether the row is its session's last, bool, shape [n].
    """

    categorical: Tensor
    numerical: Tensor
    label: Tensor
    next_categorical: Tensor
    next_numerical: Tensor
    done: Tensor


class Transition(NamedTuple):
    """Logged transitions with the action that was taken and what it earned; what a replay buffer holds.

    Attributes:
        categorical: As in :class:`LoggedTransition`, like all that have the same name.
        numerical: Standardised features.
        action: A probability for every task, float32, shape [n, tasks].
        reward: What the action earned in every task, float32, shape [n, tasks].
        next_categorical: Fields of the next row.
        next_numerical: Features of the next row.
        done: Whether there is no next row.
        label: Labels.
    """

    categorical: Tensor
    numerical: Tensor
    action: Tensor
    reward: Tensor
    next_categorical: Tensor
    next_numerical: Tensor
    done: Tensor
    label: Tensor


def following_rows(session: Tensor) -> tuple[Tensor, Tensor]:
    """Return the place of the row that follows each row in its session, and whether there is none.

    The rows of a session may lie anywhere; they follow one another in the order in which they stand.

    Args:
        session: Number of the row's session, int64, shape [n].

    Returns:
        Places, int64 [n], where a session's last row has its own, and bool [n].
    """
    order = session.argsort(stable=True)
    last = torch.ones_like(session, dtype=torch.bool)
    ordered = session[order]
    last[:-1] = ordered[1:] != ordered[:-1]
    following, done = torch.empty_like(order), torch.empty_like(last)
    following[order] = torch.where(last, order, order.roll(-1))
    done[order] = last
    return following, done


def logged_transitions(rows: ImpressionBatch) -> LoggedTransition:
    """Return every row with the next one of its session, in the order of the rows; see :func:`following_rows`."""
    following, done = following_rows(rows.session)
    return LoggedTransition(
        rows.categorical, rows.numerical, rows.label, rows.categorical[following], rows.numerical[following], done
    )


def transitions(logged: LoggedTransition, action: Tensor, reward: Reward) -> Transition:
    """Return logged transitions under the actions given, each with what this very action earns.

    Args:
        logged: Transitions of n rows.
        action: A probability for every row and task, shape [n, tasks].
        reward: Takes actions and labels, returns the rewards.

    Raises:
        ValueError: If there is not one action for every label, or rows come without the next one of their session.
    """
    missing = [name for name in LoggedTransition._fields if not hasattr(logged, name)]
    if missing:
        raise ValueError(
            f"an agent learns from rows with the next one of their session, and these lack {', '.join(missing)}: "
            "take --data SessionsDataModule, or a data module that gives LoggedTransition in training"
        )
    if action.shape != logged.label.shape:
        raise ValueError(
            f"the actions have the shape {tuple(action.shape)} and the labels {tuple(logged.label.shape)}; "
            "every row needs one probability for every task"
        )
    return Transition(
        logged.categorical,
        logged.numerical,
        action,
        reward(action, logged.label),
        logged.next_categorical,
        logged.next_numerical,
        logged.done,
        logged.label,
    )
