"""A small published split with planted tastes: users and items of one kind go together."""

from pathlib import Path
from typing import Any

import torch

from datamodules import ImplicitFeedback

USERS, ITEMS, KINDS = 40, 30, 3


def write_feedback(folder: Path) -> Path:
    """Write ``train.tsv`` and ``test.tsv``: of ten items of a user's kind, six or so to train on and two to find."""
    generator = torch.Generator().manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[str]] = {"train": ["user\titem"], "test": ["user\titem"]}
    for user in range(USERS):
        own = torch.arange(user % KINDS, ITEMS, KINDS)
        chosen = own[torch.randperm(len(own), generator=generator)[:8]].tolist()
        strange = int(torch.randint(ITEMS, (1,), generator=generator))
        train = dict.fromkeys([*chosen[:6], *([strange] if strange not in chosen else [])])
        lines["train"] += [f"u{user}\ti{item}" for item in train]
        lines["test"] += [f"u{user}\ti{item}" for item in chosen[6:]]
    for split, rows in lines.items():
        (folder / f"{split}.tsv").write_text("\n".join(rows) + "\n")
    return folder


def feedback(folder: Path, **options: Any) -> ImplicitFeedback:
    return ImplicitFeedback(
        str(write_feedback(folder)), **{"batch_size": 32, "eval_batch_size": 16, "seed": 0, **options}
    )
