"""A small log of sessions, written by hand."""

import torch

from datamodules import ImpressionBatch

#: Session 7 has three rows, 2 two, and 9 and 4 one each; they are not sorted.
SESSIONS = [7, 2, 9, 7, 2, 4, 7]
FIELD_SIZES = (8, 3)
TASKS = ("click", "buy")


def hand_made_rows(sessions: list[int] = SESSIONS) -> ImpressionBatch:
    size = len(sessions)
    place = torch.arange(size)
    label = torch.stack([place % 2, place % 2 * (place % 3 == 0)], dim=1).float()
    session = torch.tensor(sessions)
    return ImpressionBatch(
        torch.stack([place, place % 3], dim=1), place.float().unsqueeze(1) / 4, label, session, session, place
    )
