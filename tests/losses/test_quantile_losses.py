"""What top-K losses hold of every user: how it is found, kept and resumed."""

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_modules.losses import DirectAU, MisfitError, SampledSoftmax, ScoredBatch, SLatK, Talos
from lightning_modules.losses.quantile_loss import QuantileLoss
from tests.losses.listwise_cases import NUM_ITEMS, NUM_USERS, TRAINING, catalogue, prepared, scored

QUANTILE_LOSSES = [SLatK(k=5, samples=8, renewal=2), SLatK(k=5), Talos(k=5), Talos(k=1, quantile_learning_rate=0.1)]
every_loss = pytest.mark.parametrize("loss", QUANTILE_LOSSES, ids=lambda loss: loss.title)


def started(loss: QuantileLoss) -> QuantileLoss:
    """Return a copy of the loss at the beginning of a training."""
    ready = copy.deepcopy(loss).train()
    ready.prepare(*TRAINING, NUM_USERS, NUM_ITEMS)
    return ready


def scores_of(epoch: int) -> Any:
    """Return scores that change with the epochs."""
    return lambda user: catalogue(user) * (1 + epoch) - 0.1 * epoch


def train(loss: QuantileLoss, steps: range, *, resumed: bool = False) -> list[Tensor]:
    """Train for steps, three an epoch, and return the loss of each; a resumed training starts its epoch again."""
    values = []
    for step in steps:
        epoch = step // 3
        if step % 3 == 0 or resumed:
            # A resumed training finds other weights than those that its epoch began with.
            loss.start_epoch(epoch, scores_of(epoch + 3 * resumed), torch.Generator().manual_seed(epoch))
            resumed = False
        values.append(loss.of_batch(scored(log_q="shared", seed=step)))
    return values


@every_loss
@pytest.mark.parametrize("at", [3, 4, 8, 12])
def test_a_resumed_training_is_the_same_to_the_last_bit(loss: QuantileLoss, at: int) -> None:
    whole = started(loss)
    expected = train(whole, range(15))
    first, file = started(loss), io.BytesIO()
    train(first, range(at))
    torch.save(first.training_state(), file)
    file.seek(0)
    second = started(loss)
    second.load_training_state(torch.load(file, weights_only=True))
    values = train(second, range(at, 15), resumed=at % 3 != 0)
    for value, other in zip(values, expected[at:], strict=True):
        assert torch.equal(value, other)
    assert torch.equal(second.quantile, whole.quantile)


@every_loss
def test_a_state_does_not_change_after_it_was_taken(loss: QuantileLoss) -> None:
    ready = started(loss)
    train(ready, range(2))
    state = ready.training_state()
    kept = copy.deepcopy(state)
    train(ready, range(2, 9))
    assert state.keys() == kept.keys()
    for name, value in state.items():
        assert torch.equal(value, kept[name]) if isinstance(value, Tensor) else value == kept[name]


@every_loss
def test_a_new_training_starts_anew(loss: QuantileLoss) -> None:
    ready = started(loss)
    expected = train(ready, range(9))
    ready.prepare(*TRAINING, NUM_USERS, NUM_ITEMS)
    for value, other in zip(train(ready, range(9)), expected, strict=True):
        assert torch.equal(value, other)


@every_loss
@pytest.mark.parametrize("state", [{}, {"quantile": torch.zeros(NUM_USERS + 1)}, {"quantile": 3}])
def test_a_state_of_something_else_is_refused(loss: QuantileLoss, state: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="of another loss or other data"):
        started(loss).load_training_state(state)


@every_loss
def test_scores_alone_are_not_enough(loss: QuantileLoss) -> None:
    for each in (loss, DirectAU()):
        with pytest.raises(MisfitError, match=r"needs more of a batch than its scores: call of_batch\(scored\)"):
            each(torch.zeros(2), torch.zeros(2, 3))


@every_loss
def test_a_loss_is_prepared_before_it_is_asked(loss: QuantileLoss) -> None:
    with pytest.raises(ValueError, match="knows none: call prepare"):
        copy.deepcopy(loss).of_batch(scored())


def test_quantiles_are_not_renewed_before_the_loss_is_prepared() -> None:
    with pytest.raises(ValueError, match="knows none: call prepare"):
        SLatK().start_epoch(0, catalogue, torch.Generator())


def test_learned_quantiles_do_not_go_on_from_renewed_ones() -> None:
    with pytest.raises(ValueError, match=r"the checkpoint has no mean: it is of another loss"):
        started(Talos(k=5)).load_training_state(started(SLatK(k=5)).training_state())


def test_processes_learn_the_quantiles_of_all_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = scored()
    twice = ScoredBatch(*(torch.cat([each, each]) for each in batch))
    alone, together = started(Talos(k=5)), started(Talos(k=5))
    alone.of_batch(twice)
    # Two processes with the same rows.
    monkeypatch.setattr("lightning_modules.losses.talos.sum_over_processes", lambda values: 2 * values)
    together.of_batch(batch)
    torch.testing.assert_close(together.quantile, alone.quantile)


@pytest.mark.parametrize("kind", [SLatK, Talos])
def test_lists_of_recommendations_have_items(kind: Any) -> None:
    with pytest.raises(ValueError, match="k is the length of a list of recommendations"):
        kind(k=0)
    with pytest.raises(ValueError, match="k=31 items are to be recommended and there are 30"):
        kind(k=31).prepare(*TRAINING, NUM_USERS, NUM_ITEMS)


@pytest.mark.parametrize(
    ("arguments", "said"), [({"renewal": 0}, "number of epochs"), ({"k": 20, "samples": 19}, "samples of at least")]
)
def test_impossible_arguments_are_refused(arguments: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SLatK(**arguments)


@pytest.mark.parametrize("at_once", [1, 64, 2**24])
@pytest.mark.parametrize("samples", [5, 10, 30, 1000])
def test_a_quantile_is_the_kth_largest_of_positives_and_sampled_items(
    samples: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightning_modules.losses.renewed_quantiles._SCORES_AT_ONCE", at_once)
    loss = started(SLatK(k=3, samples=samples))
    loss.start_epoch(0, catalogue, torch.Generator().manual_seed(4))
    generator, every = torch.Generator().manual_seed(4), torch.arange(NUM_USERS)
    size = max(1, at_once // NUM_ITEMS)
    drawn = [[*range(NUM_ITEMS)]] * NUM_USERS
    if samples < NUM_ITEMS:
        blocks = [torch.randint(NUM_ITEMS, (len(each), samples), generator=generator) for each in every.split(size)]
        drawn = torch.cat(blocks).tolist()
    for user in range(NUM_USERS):
        own = [item for of, item in torch.stack(TRAINING, 1).tolist() if of == user]
        candidates = own + [item for item in drawn[user] if item not in own]
        values = sorted(catalogue(torch.tensor([user]))[0, candidates].tolist(), reverse=True)
        assert loss.quantile[user] == values[min(3, len(values)) - 1]


def test_the_smallest_candidate_is_the_quantile_where_there_are_too_few() -> None:
    loss = started(SLatK(k=20, samples=20))
    loss.start_epoch(0, catalogue, torch.Generator().manual_seed(4))
    assert loss.quantile.isfinite().all()


def test_quantiles_are_renewed_when_they_are_due() -> None:
    loss = started(SLatK(k=3, renewal=3))
    renewed, held = [], loss.quantile
    for epoch in range(8):
        loss.start_epoch(epoch, scores_of(epoch), torch.Generator())
        renewed.append(not torch.equal(held, loss.quantile))
        held = loss.quantile
    assert renewed == [epoch % 3 == 0 for epoch in range(8)]
    late = started(SLatK(k=3, renewal=3))
    late.start_epoch(4, scores_of(4), torch.Generator())
    assert late.quantile.all()


@pytest.mark.parametrize("detach", [True, False])
def test_the_weights_gradient_is_an_option(detach: bool) -> None:
    batch, loss = scored(), prepared(SLatK(detach_weight=detach))
    positive = batch.positive.clone().requires_grad_()
    given = batch._replace(positive=positive)
    (gradient,) = torch.autograd.grad(loss.of_batch(given).sum(), positive)
    softmax = SampledSoftmax().of_batch(given)
    (plain,) = torch.autograd.grad(softmax.sum(), positive)
    weight = torch.sigmoid((batch.positive - loss.quantile[batch.user]) / 2.0)
    through = 0 if detach else softmax.detach() * weight * (1 - weight) / 2.0
    torch.testing.assert_close(gradient, weight * plain + through)


def test_quantiles_are_fitted_by_adam_to_the_pinball_loss() -> None:
    loss, share = started(Talos(k=4, quantile_learning_rate=0.02)), 4 / NUM_ITEMS
    positives = torch.bincount(TRAINING[0], minlength=NUM_USERS)
    beta = torch.zeros(NUM_USERS, requires_grad=True)
    optimizer = torch.optim.Adam([beta], lr=0.02)
    for step in range(30):
        batch = scored(8, log_q=("none", "each")[step % 2], dtype=torch.float32, seed=step)
        loss.of_batch(batch)
        log_weight = batch.log_weight
        weight = torch.ones_like(batch.negative) if log_weight is None else log_weight.exp()
        own = positives[batch.user]
        of_negatives = (
            (NUM_ITEMS - own)[:, None] / 4 * weight * pinball(batch.negative - beta[batch.user][:, None], share)
        )
        of_positive = own * pinball(batch.positive - beta[batch.user], share)
        optimizer.zero_grad()
        ((of_positive + of_negatives.sum(1)) / NUM_ITEMS).mean().backward()
        optimizer.step()
        torch.testing.assert_close(loss.quantile, beta.detach())
    loss.eval().of_batch(scored())
    torch.testing.assert_close(loss.quantile, beta.detach())


def pinball(above: Tensor, share: float) -> Tensor:
    return (1 - share) * above.relu() + share * (-above).relu()


def test_fitted_quantiles_are_those_of_the_scores() -> None:
    loss, k, generator = started(Talos(k=6, quantile_learning_rate=0.01)), 6, torch.Generator().manual_seed(0)
    table = catalogue(torch.arange(NUM_USERS)).float()
    batch = scored(len(TRAINING[0]), dtype=torch.float32)
    for _ in range(600):
        negative = torch.randint(NUM_ITEMS, (len(TRAINING[0]), 40), generator=generator)
        rows = {"user": TRAINING[0], "positive": table[TRAINING], "negative": table[TRAINING[0][:, None], negative]}
        loss.of_batch(batch._replace(**rows))
    has_rows = torch.bincount(TRAINING[0], minlength=NUM_USERS) > 0
    above = (table > loss.quantile[:, None]).sum(1)[has_rows]
    assert (above - k).abs().max() <= 2
    assert not loss.quantile[~has_rows].any()
