"""Random feedback, and what its users have."""

from collections import defaultdict

import torch
from torch import Tensor

from datamodules import UserItems


def random_pairs(num_users: int = 20, num_items: int = 30, size: int = 240, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    # Products of uniform numbers prefer some users and items.
    first, second = (torch.rand(2, size, generator=generator) for _ in range(2))
    user, item = (first * second * torch.tensor([[num_users], [num_items]])).long()
    return user, item


def random_items(num_users: int = 20, num_items: int = 30, size: int = 240, seed: int = 0) -> UserItems:
    return UserItems.of(*random_pairs(num_users, num_items, size, seed), num_users, num_items)


def sets_of(items: UserItems) -> dict[int, set[int]]:
    sets: dict[int, set[int]] = defaultdict(set)
    for user, item in zip(items.user.tolist(), items.item.tolist(), strict=True):
        sets[user].add(item)
    return sets
