from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_modules.losses import BCE, Focal, FormulaLoss, Hinge, Loss, MaxR
from lightning_modules.populations import StackedModel, stacked
from lightning_modules.populations.clipping import clipping_of
from lightning_modules.populations.gradient_table import SlopeTable
from lightning_modules.populations.sparse_rows import distinct_rows, padded_rows, row_sums
from lightning_modules.populations.stacked_model import UnmatchedError
from tests.broken_losses import Infinite, Raising
from tests.populations.population_helpers import biased_mf, deep_mf, planted_data

CPU = torch.device("cpu")
KINKED = [FormulaLoss(text) for text in ("max(label - pred, pred)", "max(-pred + label, log(pred))", "abs(pred - 0.3)")]


def slope(loss: Loss, logit: Tensor, label: Tensor) -> Tensor:
    logit = logit.clone().requires_grad_()
    return torch.autograd.grad(loss.from_logit(logit, label).sum(), logit)[0]


@pytest.mark.parametrize("loss", [BCE(), Focal(), Hinge(), MaxR(), FormulaLoss("1 / (pred + label)"), *KINKED])
def test_slopes_are_those_of_autograd(loss: Loss) -> None:
    generator = torch.Generator().manual_seed(0)
    logit = 2 * torch.randn(20_000, generator=generator)
    label = torch.randint(2, (20_000,), generator=generator).float()
    found = SlopeTable([BCE(), loss], CPU).slopes(torch.stack([logit, logit], 1), label)
    torch.testing.assert_close(found[:, 0], slope(BCE(), logit, label), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found[:, 1], slope(loss, logit, label), rtol=2e-3, atol=1e-5)


def test_a_step_is_at_the_very_number_where_the_loss_makes_it() -> None:
    kink = torch.tensor(1.0)
    logit = torch.stack([kink.nextafter(torch.tensor(0.0)), kink.nextafter(torch.tensor(2.0))]).unsqueeze(1)
    found = SlopeTable([Hinge()], CPU).slopes(logit, torch.ones(2))
    assert found.squeeze(1).tolist() == [-1.0, 0.0]


def test_far_away_and_broken_logits() -> None:
    logit = torch.tensor([-1e30, -300.0, 300.0, 1e30, torch.nan]).unsqueeze(1)
    found = SlopeTable([BCE()], CPU).slopes(logit, torch.ones(5)).squeeze(1)
    torch.testing.assert_close(found, torch.tensor([-1.0, -1.0, 0.0, 0.0, torch.nan]), equal_nan=True)


def test_losses_without_finite_values_have_no_slopes() -> None:
    table = SlopeTable([Infinite(), Raising(ArithmeticError("boom")), BCE()], CPU)
    found = table.slopes(torch.zeros(1, 3), torch.zeros(1))
    assert found.isfinite().tolist() == [[False, False, True]]
    assert list(table.errors) == ["", "ArithmeticError: boom", ""]


@pytest.mark.parametrize("find", [distinct_rows, padded_rows])
def test_distinct_rows_are_the_reads(find: Any) -> None:
    reads = torch.tensor([4, 0, 7, 4, 4, 2])
    rows, index = find(reads, 9)
    assert torch.equal(rows[index], reads)
    assert rows.tolist()[:4] == [0, 2, 4, 7]
    assert set(rows.tolist()[4:]) <= {9}


def test_row_sums_are_sums() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors, weights = torch.randn(6, 4, 3, generator=generator), torch.randn(20, 4, generator=generator)
    targets, sources = torch.randint(5, (2, 20), generator=generator)
    expected = torch.zeros_like(vectors).index_add_(0, targets, weights.unsqueeze(2) * vectors[sources])
    torch.testing.assert_close(row_sums(vectors, targets, sources, weights), expected)


@pytest.mark.parametrize("algorithm", ["value", "norm", None])
@pytest.mark.parametrize("largest", [0.5, 100.0])
def test_clipping_is_torchs_for_every_copy(algorithm: str | None, largest: float) -> None:
    generator = torch.Generator().manual_seed(0)
    rows, dense = torch.randn(6, 3, 4, generator=generator), torch.randn(3, 5, generator=generator)
    expected = []
    for copy in range(3):
        parameters = [torch.zeros_like(each).requires_grad_() for each in (rows[:, copy], dense[copy])]
        for parameter, gradient in zip(parameters, (rows[:, copy], dense[copy]), strict=True):
            parameter.grad = gradient.clone()
        clip = torch.nn.utils.clip_grad_value_ if algorithm == "value" else torch.nn.utils.clip_grad_norm_
        clip(parameters, largest)
        expected.append([parameter.grad for parameter in parameters])
    clipping_of({"gradient_clip_val": largest, "gradient_clip_algorithm": algorithm})(rows, [dense])
    for copy, (of_rows, of_dense) in enumerate(expected):
        torch.testing.assert_close(rows[:, copy], of_rows)
        torch.testing.assert_close(dense[copy], of_dense)


def test_an_unknown_clipping_is_refused() -> None:
    with pytest.raises(UnmatchedError, match="'angle'"):
        clipping_of({"gradient_clip_val": 1.0, "gradient_clip_algorithm": "angle"})


@pytest.mark.parametrize("build", [biased_mf, deep_mf])
def test_copies_are_copies(build: Any) -> None:
    recommender = build()
    copies, batch = stacked(recommender, 3), planted_data()._rows("train")
    rows, index = distinct_rows(copies.rows(batch), len(copies.table) - 1)
    recommender.eval()
    copies.eval()
    with torch.no_grad():
        logit = copies.logits(copies.table[rows], index)
        torch.testing.assert_close(logit, recommender(batch.user, batch.item).unsqueeze(1).expand(-1, 3))
    state = copies.unstacked(copies.table[:, 1], 1)
    assert state.keys() == recommender.state_dict().keys()
    for name, value in recommender.state_dict().items():
        torch.testing.assert_close(state[name], value)


def test_gradients_written_out_are_those_of_autograd() -> None:
    copies, batch = stacked(biased_mf(), 3), planted_data()._rows("train")
    rows, index = distinct_rows(copies.rows(batch), len(copies.table) - 1)
    vectors = copies.table[rows] + 0.1 * torch.randn(3, 1, generator=torch.Generator().manual_seed(0))
    user = index[:-1].chunk(2)[0]
    vectors[index[: len(user)], :, -1] = 1.0
    vectors[index[len(user) : -1], :, -2] = 1.0
    (mine,) = copies.gradients(vectors, index, torch.sin)
    (other,) = StackedModel.gradients(AutogradLogits(copies), vectors, index, torch.sin)
    for name, value in copies.unstacked(_whole(copies, rows, other)[:, 1], 1).items():
        torch.testing.assert_close(copies.unstacked(_whole(copies, rows, mine)[:, 1], 1)[name], value)
    assert mine[index[: len(user)], :, -1].abs().max() == mine[index[len(user) : -1], :, -2].abs().max() == 0


def _whole(copies: StackedModel, rows: Tensor, values: Tensor) -> Tensor:
    return torch.zeros_like(copies.table).index_copy_(0, rows, values)


class AutogradLogits:
    """The product of vectors without anything in place, which autograd can follow."""

    def __init__(self, copies: StackedModel) -> None:
        self.trained_parameters = copies.trained_parameters

    def logits(self, vectors: Tensor, index: Tensor) -> Tensor:
        user, item = index[:-1].chunk(2)
        return (vectors[user] * vectors[item]).sum(-1) + vectors[0, :, 0]
