import math
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from sklearn.metrics import log_loss, roc_auc_score
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.batches import CatalogueBatch
from lightning_modules.compare.criteria import AreaUnderCurve, MeanOverUsers
from lightning_modules.compare.model_criteria import criterion_of
from lightning_modules.compare.tables import cells, header, screen_cells, screen_header
from lightning_modules.losses import BCE, SampledSoftmax
from lightning_modules.recommenders import BiasedMF
from lightning_modules.training.predictions import Scores
from lightning_modules.training.trainers import scoring_trainer
from tests.compare.compare_helpers import FAST, Setting, compared, loss_result, runs_of, scores_of

NDCG = MeanOverUsers("ndcg@20")


class Ranker(pl.LightningModule):
    """Has the metric of every user in a table."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = values

    def user_values(self, batch: CatalogueBatch, metric: str) -> Tensor:
        assert metric == "ndcg@20"
        return self.values[batch.user]


def blocks(relevant: list[list[int]]) -> DataLoader[Any]:
    """Return the relevant items of one user after the other in blocks of two users."""
    result = []
    for start in range(0, len(relevant), 2):
        block = relevant[start : start + 2]
        rows = [[row, item] for row, items in enumerate(block) for item in items]
        pairs = torch.tensor(rows, dtype=torch.int64).reshape(-1, 2).T
        result.append(CatalogueBatch(torch.arange(start, start + len(block)), pairs[:, :0], pairs))
    return DataLoader(result, batch_size=None)  # type: ignore[arg-type]


def test_users_without_relevant_items_do_not_count() -> None:
    values = torch.tensor([0.5, float("nan"), 0.25, 1.0, 0.0])
    trainer = scoring_trainer({"accelerator": "cpu"})
    measured = NDCG.measure(trainer, Ranker(values), blocks([[1, 2], [], [7], [0], [3]]))
    assert measured.score.tolist() == [0.5, 0.25, 1.0, 0.0]
    assert measured.label.tolist() == [2, 1, 1, 1]
    assert measured.user.tolist() == [0, 2, 3, 4]


def test_the_mean_over_users_has_the_standard_error_of_a_mean() -> None:
    score = torch.rand(50, generator=torch.Generator().manual_seed(0))
    expected = float(score.double().std()) / 50**0.5
    assert NDCG.standard_error(Scores(score, torch.ones(50), torch.arange(50))) == pytest.approx(expected)
    both = torch.stack([score, score / 2])
    torch.testing.assert_close(NDCG.observed(both, torch.ones(50)), both.double().mean(1))


def test_the_model_says_what_it_is_compared_by() -> None:
    assert isinstance(criterion_of(BiasedMF(3, 3, embedding_dim=1), "val/log_loss"), AreaUnderCurve)
    ranker: Any = Ranker(torch.zeros(1))
    assert criterion_of(ranker, "val/recall@5").metric == "recall@5"


@pytest.mark.parametrize(
    ("metric", "title", "beside"),
    [("ndcg@20", "NDCG@20", "recall@20"), ("recall@5", "Recall@5", "ndcg@5"), ("hit_rate@1", "Hit rate@1", "recall@1")],
)
def test_names(metric: str, title: str, beside: str) -> None:
    criterion = MeanOverUsers(metric)
    assert (criterion.metric, criterion.title, criterion.beside) == (metric, title, beside)


def test_only_losses_of_one_prediction_can_be_proper() -> None:
    generator = torch.Generator().manual_seed(0)
    assert AreaUnderCurve().is_proper(BCE(), generator)
    assert not NDCG.is_proper(SampledSoftmax(), generator)
    for criterion in (AreaUnderCurve(), NDCG):
        baseline, *others = criterion.default_losses()
        assert others
        assert {each.wants for each in others} <= {"probability", "logit", "scores"}
        assert baseline.identity in (BCE().identity, SampledSoftmax().identity)


def test_auc_of_rows_is_observed_without_resampling() -> None:
    drawn = scores_of(1, 2, rows=80)
    observed = AreaUnderCurve().observed(torch.stack([drawn.score, -drawn.score]), drawn.label)
    assert float(observed.sum()) == pytest.approx(1.0)


def test_the_table_names_the_metric_and_the_options_that_were_tuned() -> None:
    columns = {"val_ndcg@20": 0.12, "test_ndcg@20": 0.13, "test_recall@20": 0.2, "val_ndcg@20_se": 0.01}
    runs = runs_of([0.12, 0.12]).assign(**columns)
    tuned = Setting(0.1, 0.0, (("temperature", 0.2),))
    soft = loss_result(compared("BCE"), runs, criterion=NDCG, proper=False, setting=tuned)
    plain = loss_result(compared("(label - pred)**2"), runs, criterion=NDCG, proper=False, setting=FAST)
    rows = cells([soft, plain])
    names = header([soft, plain])
    assert names[1:4] == ["validation NDCG@20 ± sd (se)", "test NDCG@20 ± sd (se)", "test recall@20 ± sd"]
    assert names[-1] == "temperature"
    assert [row[-1] for row in rows] == ["0.2", "-"]
    assert rows[0][1:4] == ["0.1200 ± 0.0000 (0.0100)", "0.1300 ± 0.0000 (0.0100)", "0.2000 ± 0.0000"]
    assert len(screen_cells([soft])[0]) == len(screen_header(NDCG))


def test_figures_of_scores_are_those_of_scikit_learn() -> None:
    label, score = torch.tensor([0.0, 1.0, 1.0, 0.0]), torch.tensor([0.2, 0.7, 0.4, 0.5])
    user = torch.arange(4)
    found = AreaUnderCurve().figures(Scores(score, label, user))
    assert found["auc"] == pytest.approx(roc_auc_score(label, score))
    assert found["log_loss"] == pytest.approx(log_loss(label, score))
    of_logits = AreaUnderCurve().figures(Scores(torch.logit(score), label, user))
    assert of_logits["auc"] == pytest.approx(found["auc"])
    assert math.isnan(of_logits["log_loss"])
    assert NDCG.figures(Scores(score, label, user)) == {}
