import pytest
import torch
from torch import Tensor

from lightning_modules.statistics.auc import auc_standard_error, weighted_auc
from lightning_modules.statistics.bootstrap import Resampling, bootstrap_aucs, bootstrap_means


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(n: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = seeded(seed)
    label = (torch.rand(n, generator=generator) < 0.4).float()
    return label + torch.randn(n, generator=generator), label


def resampled(score: Tensor, label: Tensor, groups: Tensor, resamples: int = 3000) -> Tensor:
    (aucs,) = bootstrap_aucs([score[None]], label, groups, resamples=resamples, generator=seeded(1))
    return aucs[:, 0]


def test_weights_are_multinomial_counts_of_whole_groups() -> None:
    groups = torch.tensor([7, -2, 7, 40, -2, 7])
    weights = torch.cat(list(Resampling(groups, 20_000, seeded(0))))
    assert weights.shape == (20_000, 6)
    for group in (7, -2, 40):
        of_group = weights[:, groups == group]
        assert (of_group == of_group[:, :1]).all()
    counts = weights[:, [0, 1, 3]]
    assert (counts.sum(1) == 3).all()
    covariance = torch.eye(3) - 1 / 3
    torch.testing.assert_close(torch.cov(counts.T), covariance, atol=0.03, rtol=0)
    torch.testing.assert_close(counts.mean(0), torch.ones(3), atol=0.03, rtol=0)


def test_chunks_are_bounded_and_do_not_change_the_resamples() -> None:
    groups = torch.arange(10)
    whole = list(Resampling(groups, 50, seeded(0)))
    small = list(Resampling(groups, 50, seeded(0), chunk_bytes=3 * 40))
    single = list(Resampling(groups, 50, seeded(0), chunk_bytes=1))
    assert [len(chunks) for chunks in (whole, small, single)] == [1, 17, 50]
    assert max(len(chunk) for chunk in small) == 3
    assert torch.equal(torch.cat(small), whole[0])
    assert torch.equal(torch.cat(single), whole[0])
    assert not torch.equal(whole[0], next(iter(Resampling(groups, 50, seeded(1)))))


def test_every_loss_and_seed_meets_the_same_resamples() -> None:
    first, label = rows(40, seed=0)
    second = rows(40, seed=1)[0]
    groups = torch.arange(40) // 2
    two, one = bootstrap_aucs(
        [torch.stack([first, second]), second[None]], label, groups, resamples=60, generator=seeded(3)
    )
    weights = torch.cat(list(Resampling(groups, 60, seeded(3))))
    torch.testing.assert_close(two[:, 0], weighted_auc(first, label, weights), equal_nan=True)
    torch.testing.assert_close(two[:, 1], weighted_auc(second, label, weights), equal_nan=True)
    torch.testing.assert_close(one[:, 0], two[:, 1], equal_nan=True)


def test_progress_ends_at_the_number_of_resamples() -> None:
    score, label = rows(20_000, seed=0)
    done: list[int] = []
    bootstrap_aucs([score[None]], label, torch.arange(20_000), resamples=120, generator=seeded(0), progress=done.append)
    assert done == sorted(set(done))
    assert len(done) > 1
    assert done[-1] == 120


def test_spread_over_independent_rows_is_delongs() -> None:
    score, label = rows(1000, seed=2)
    spread = float(resampled(score, label, torch.arange(1000)).std())
    assert spread == pytest.approx(auc_standard_error(score, label), rel=0.05)


def test_copies_of_a_users_row_add_no_knowledge() -> None:
    score, label = rows(300, seed=3)
    copies, labels = score.repeat_interleave(4), label.repeat_interleave(4)
    users = torch.arange(300).repeat_interleave(4)
    over_users = resampled(copies, labels, users)
    torch.testing.assert_close(over_users, resampled(score, label, torch.arange(300)))
    over_rows = resampled(copies, labels, torch.arange(1200))
    assert float(over_users.std() / over_rows.std()) == pytest.approx(2, rel=0.08)


def test_resamples_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Resampling(torch.arange(3), 0, seeded(0))
    with pytest.raises(ValueError, match="at least one row"):
        Resampling(torch.arange(0), 5, seeded(0))
    with pytest.raises(ValueError, match="2 groups and 3 labels"):
        bootstrap_aucs([torch.rand(1, 3)], torch.rand(3), torch.arange(2), resamples=5, generator=seeded(0))


def test_means_are_those_of_rows_repeated_as_often_as_they_are_drawn() -> None:
    groups, values = torch.tensor([0, 1, 1, 2, 3]), torch.randn(2, 5, generator=seeded(3))
    (means,) = bootstrap_means([values], groups, resamples=200, generator=seeded(4))
    weights = torch.cat(list(Resampling(groups, 200, seeded(4)))).long()
    for resample, counts in enumerate(weights):
        repeated = values.repeat_interleave(counts, dim=1).double()
        torch.testing.assert_close(means[resample], repeated.mean(1))


def test_means_of_losses_are_paired_and_spread_as_the_standard_error_says() -> None:
    generator = seeded(5)
    values = torch.rand(1, 400, generator=generator)
    both = bootstrap_means([values, values + 0.25], torch.arange(400), resamples=4000, generator=seeded(6))
    torch.testing.assert_close(both[1] - both[0], torch.full((4000, 1), 0.25, dtype=torch.float64))
    error = float(values.std() / 400**0.5)
    assert float(both[0].std()) == pytest.approx(error, rel=0.05)
