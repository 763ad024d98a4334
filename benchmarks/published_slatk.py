"""SL@K as the published code trains it, restated: does it reach the published NDCG@20 where ours does not?

    python -m benchmarks.published_slatk --root data/amazon-health --published 0.1390

Ours is :class:`lightning_modules.losses.SLatK` in ``benchmarks.top_n``. Published code (IR-Benchmark, KDD 2025) draws
negatives for every row, lets the users' quantiles begin at 0 and renews them after each step of every fifth epoch, from
the negatives of the batch and from the first training items of a user, as many as nine users of ten have. For
catalogues whose scores fit in memory for a batch and for all users.
"""

import argparse
import time
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import normalize

from benchmarks.common.commands import settle
from benchmarks.common.report import table, write_report
from datamodules import ImplicitFeedback
from lightning_modules.statistics.top_n import METRICS, top_n_values

K, DIM, BATCH_SIZE, NEGATIVES, EPOCHS_BETWEEN = 20, 64, 1024, 1000, 5


@dataclass(frozen=True)
class Split:
    """Pairs of users and items, int64 [2, n], and whether a user has an item in training, bool [users, items]."""

    train: Tensor
    validation: Tensor
    test: Tensor
    taken: Tensor


@dataclass(frozen=True)
class Settings:
    """What is published as the best setting, where the learning rate is the tenth that the code takes of it."""

    learning_rate: float
    temperature: float
    weight_temperature: float
    weight_decay: float
    epochs: int
    patience: int


class RestatedSLatK:
    """Vectors, quantiles and their training.

    Args:
        split: The rows.
        settings: The settings.
        shared: Whether the rows of a batch share their negatives.
        seed: Seed of everything drawn.
    """

    def __init__(self, split: Split, settings: Settings, *, shared: bool, seed: int) -> None:
        self.split, self.settings, self.shared = split, settings, shared
        self.generator = torch.Generator().manual_seed(seed)
        sizes = split.taken.shape
        self.vectors = [Parameter(0.1 * torch.randn(size, DIM, generator=self.generator)) for size in sizes]
        self.quantile = torch.zeros(sizes[0])
        self.optimizer = torch.optim.Adam(
            self.vectors, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        most = int(split.taken.sum(1).double().quantile(0.9))
        self.own = split.taken & (split.taken.cumsum(1) <= most)

    def epoch(self, number: int) -> None:
        """Train an epoch, counted from 1."""
        for rows in torch.randperm(self.split.train.shape[1], generator=self.generator).split(BATCH_SIZE):
            user, item = self.split.train[:, rows]
            drawn = self._drawn(user)
            score = self.scores(user)
            loss = self._loss(score.gather(1, item[:, None]).squeeze(1), self._of(score, user, drawn), user)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if number % EPOCHS_BETWEEN == 0:
                self._renew(user, drawn)

    def _drawn(self, user: Tensor) -> Tensor:
        size = (1 if self.shared else len(user), NEGATIVES)
        return torch.randint(self.split.taken.shape[1], size, generator=self.generator).expand(len(user), -1)

    def scores(self, user: Tensor) -> Tensor:
        """Return the cosines of users and all items, float [n, items]."""
        users, items = self.vectors
        return normalize(users[user], dim=1) @ normalize(items, dim=1).T

    def _of(self, score: Tensor, user: Tensor, drawn: Tensor) -> Tensor:
        return score.gather(1, drawn).masked_fill(self.split.taken[user].gather(1, drawn), -torch.inf)

    def _loss(self, positive: Tensor, negative: Tensor, user: Tensor) -> Tensor:
        softmax = torch.logsumexp((negative - positive[:, None]) / self.settings.temperature, dim=1)
        weight = torch.sigmoid((positive - self.quantile[user]) / self.settings.weight_temperature)
        return (weight * softmax).mean()

    @torch.no_grad()
    def _renew(self, user: Tensor, drawn: Tensor) -> None:
        score = self.scores(user)
        own = score.masked_fill(~self.own[user], -torch.inf)
        self.quantile[user] = torch.cat([own, self._of(score, user, drawn)], dim=1).topk(K, dim=1).values[:, -1]

    @torch.no_grad()
    def ndcg(self, relevant: Tensor) -> float:
        """Return the mean NDCG@20 of the users with relevant items."""
        users = relevant[0].unique()
        place = torch.zeros(len(self.quantile), dtype=torch.int64)
        place[users] = torch.arange(len(users))
        seen = self.split.taken[users].nonzero().T
        _, values = top_n_values(self.scores(users), seen, torch.stack([place[relevant[0]], relevant[1]]), [K])
        return float(values[:, METRICS.index("ndcg")].mean())


def main() -> None:
    """Train with every seed, and write the table."""
    options = _options()
    settle()
    settings = Settings(0.01, 0.2, 2.5, 0.0, options.epochs, options.patience)
    split = _split(options.root)
    rows = [_row(split, shared, options, settings) for shared in (False, True)]
    header = ["negatives", "NDCG@20 ± sd", f"of {options.published:.4f}, published", "best epoch", "seconds"]
    title = "SL@20 as published code trains it, on Amazon Health"
    write_report("published_slatk", title=title, parts=[_notes(options, settings), table(header, rows)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder with train.tsv and test.tsv")
    parser.add_argument("--published", type=float, default=0.139, help="the published NDCG@20")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--patience", type=int, default=40, help="epochs without a better validation to end after")
    return parser.parse_args()


def _row(split: Split, shared: bool, options: argparse.Namespace, settings: Settings) -> list[str]:
    begin = time.process_time()
    found = [_trained(split, settings, shared, seed) for seed in range(options.seeds)]
    ndcg, epoch = torch.tensor(found, dtype=torch.float64).T
    seconds = (time.process_time() - begin) / options.seeds
    print(shared, found, flush=True)
    return [
        "of the batch" if shared else "of every row",
        f"{ndcg.mean():.4f} ± {ndcg.std():.4f}",
        f"{ndcg.mean() / options.published:.3f}",
        f"{epoch.mean():.0f}",
        f"{seconds:.0f}",
    ]


def _split(root: str) -> Split:
    data = ImplicitFeedback(root)
    data.setup("fit")
    pairs = {name: torch.stack([rows.user, rows.item]) for name, rows in data.rows.items()}
    taken = torch.zeros(data.num_users, data.num_items, dtype=torch.bool)
    taken[pairs["train"][0], pairs["train"][1]] = True
    return Split(pairs["train"], pairs["validation"], pairs["test"], taken)


def _trained(split: Split, settings: Settings, shared: bool, seed: int) -> tuple[float, int]:
    """Return the NDCG@20 on the test rows of the epoch that is best on the validation rows, and that epoch."""
    model, best, found = RestatedSLatK(split, settings, shared=shared, seed=seed), 0.0, (0.0, 0)
    for number in range(1, settings.epochs + 1):
        model.epoch(number)
        if number % EPOCHS_BETWEEN:
            continue
        validated = model.ndcg(split.validation)
        if validated > best:
            best, found = validated, (model.ndcg(split.test), number)
        elif number - found[1] >= settings.patience:
            break
    return found


def _notes(options: argparse.Namespace, settings: Settings) -> str:
    return (
        f"MF of {DIM} dimensions, cosines, {NEGATIVES:,} negatives, batches of {BATCH_SIZE:,}, Adam, no weight decay. "
        f"Learning rate {settings.learning_rate:g} (a tenth of what the code is given), temperature "
        f"{settings.temperature:g}, that of the weight {settings.weight_temperature:g}, quantiles renewed every "
        f"{EPOCHS_BETWEEN} epochs, as published. NDCG@20 on the test rows of the epoch that is best on the validation "
        f"rows, a tenth of every user's training items; {options.seeds} seeds, at most {options.epochs} epochs, and "
        f"{options.patience} without a better validation. Seconds are those of a training on the processor."
    )


if __name__ == "__main__":
    main()
