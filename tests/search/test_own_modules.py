"""A module of somebody else is searched with, or refused where its losses would not be what they are called."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from datamodules.batches import Batch
from lightning_modules.losses import BCE, BPR, MSE, Focal, FormulaLoss, MisfitError
from lightning_modules.recommenders import RecommenderMetrics
from tests.search.child_helpers import evaluator, planted_data, trained
from tests.search.small_studies import search, without_figures


class Own(pl.LightningModule):
    """Biases alone, without a base class of the project."""

    def __init__(self) -> None:
        super().__init__()
        self.user, self.item = nn.Embedding(50, 1), nn.Embedding(50, 1)
        self.loss: nn.Module = BCE()
        self.metrics = RecommenderMetrics()

    def forward(self, batch: Batch) -> Tensor:
        return (self.user(batch.user) + self.item(batch.item)).squeeze(-1)

    def training_step(self, batch: Batch) -> Tensor:
        return self.loss.from_logit(self(batch), batch.label).mean()  # type: ignore[operator]

    def validation_step(self, batch: Batch) -> None:
        self.metrics.update(self(batch), batch.label)

    def on_validation_epoch_end(self) -> None:
        self.log("val/auc", self.metrics.compute()["auc"])
        self.metrics.reset()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-2)


class OfLogits(Own):
    gives: ClassVar[Any] = "logit"


class OfProbabilities(Own):
    gives: ClassVar[Any] = "probability"

    def training_step(self, batch: Batch) -> Tensor:
        return self.loss(torch.sigmoid(self(batch)), batch.label).mean()


class Untrue(OfProbabilities):
    """Says that it gives logits, and gives probabilities."""

    gives: ClassVar[Any] = "logit"


class Twice(OfLogits):
    """Gives probabilities for logits."""

    def forward(self, batch: Batch) -> Tensor:
        return torch.sigmoid(super().forward(batch))


class Plain(OfLogits):
    """Gives any loss the logits as they are."""

    def training_step(self, batch: Batch) -> Tensor:
        return self.loss(self(batch), batch.label).mean()


def own(kind: type[Own]) -> Own:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind()


@pytest.mark.parametrize(
    ("kind", "options"),
    [(OfLogits, {"references": [BCE(), MSE()]}), (OfProbabilities, {"baseline": MSE(), "references": []})],
)
def test_what_fits_is_searched(
    kind: type[Own], options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_figures(monkeypatch)
    search(tmp_path / "study", strategy="random", model=own(kind), **options)
    assert (tmp_path / "study" / "formulas.csv").is_file()


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        (Own, {}, "Own does not say what it gives its loss"),
        (OfProbabilities, {}, "BCE wants a logit and OfProbabilities gives a probability"),
        (OfProbabilities, {"baseline": MSE(), "references": [Focal()]}, "Focal wants a logit"),
        (OfLogits, {"references": [BPR()]}, "BPR wants a difference and OfLogits gives a logit"),
        (OfLogits, {"baseline": FormulaLoss("1 + label")}, "no prediction in it"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(
    kind: type[Own], options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(MisfitError, match=said):
        search(tmp_path / "study", strategy="random", model=own(kind), **options)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("kind", [Untrue, Twice])
def test_a_module_that_gives_something_else_than_it_says_has_no_baseline(kind: type[Own], tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"baseline loss BCE could not be trained .* a probability where a logit"):
        search(tmp_path / "study", strategy="random", model=own(kind))


def test_logits_for_a_loss_of_probabilities_fail_in_the_first_step() -> None:
    data = planted_data()
    evaluation = trained(evaluator(data), own(Plain), FormulaLoss("(label - pred)**2"))  # type: ignore[arg-type]
    assert evaluation.status == "failed"
    assert "the loss wants probabilities and was given" in evaluation.error
    assert trained(evaluator(data), own(Plain), BCE()).status == "trained"  # type: ignore[arg-type]


def test_losses_of_one_module_are_those_of_another() -> None:
    data = planted_data()
    of_logits, of_probabilities = (trained(evaluator(data), own(kind), MSE()) for kind in (OfLogits, OfProbabilities))  # type: ignore[arg-type]
    assert of_logits.score == of_probabilities.score is not None
