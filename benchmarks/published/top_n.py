"""Matrix factorisation on a sampled softmax as published code of top-N recommendation trains it, in plain PyTorch.

Every row has negatives of its own, drawn again where the user has them, and their vectors are gathered for every row.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

LEARNING_RATE, TEMPERATURE = 1e-2, 0.2


class Factors(nn.Module):
    """A vector of every user and item."""

    def __init__(self, num_users: int, num_items: int, embedding_dim: int) -> None:
        super().__init__()
        self.user = nn.Embedding(num_users, embedding_dim)
        self.item = nn.Embedding(num_items, embedding_dim)
        for table in (self.user, self.item):
            nn.init.xavier_normal_(table.weight)


def train(
    model: Factors, user: Tensor, item: Tensor, taken: Tensor, *, num_negatives: int, batch_size: int, seed: int
) -> float:
    """Train one epoch with a new optimizer, and return the mean loss of the batches.

    Args:
        model: The model.
        user: User of every row, int64 [n].
        item: Its item, int64 [n].
        taken: Whether a user has an item, bool [num_users, num_items].
        num_negatives: Negatives of every row.
        batch_size: Rows of a batch.
        seed: Seed of the order and of the negatives.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    total, batches = 0.0, torch.randperm(len(user), generator=generator).split(batch_size)
    for rows in batches:
        negative = draw(user[rows], taken, num_negatives, generator)
        loss = softmax_loss(model, user[rows], item[rows], negative)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(batches)


def draw(user: Tensor, taken: Tensor, num_negatives: int, generator: torch.Generator) -> Tensor:
    """Return negatives of every user, int64 [n, negatives], drawn until none is an item of the user."""
    num_items = taken.shape[1]
    negative = torch.randint(num_items, (len(user), num_negatives), generator=generator)
    bad = taken[user[:, None], negative]
    while bad.any():
        negative[bad] = torch.randint(num_items, (int(bad.sum()),), generator=generator)
        bad = taken[user[:, None], negative]
    return negative


def softmax_loss(model: Factors, user: Tensor, item: Tensor, negative: Tensor) -> Tensor:
    """Return the mean over the rows of ``log sum exp((s_negative - s_positive) / temperature)``."""
    vectors = model.user(user)
    positive = cosine_similarity(vectors, model.item(item))
    negatives = cosine_similarity(vectors[:, None], model.item(negative), dim=2)
    return torch.logsumexp((negatives - positive[:, None]) / TEMPERATURE, dim=1).mean()
