import numpy as np
import pytest
import torch

from datamodules import SyntheticSessions


def entropy(rate: np.ndarray) -> np.ndarray:
    """Return the mean log-loss of true probabilities."""
    rate = rate.clip(1e-12, 1 - 1e-12)
    return -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))


def test_rows_are_those_planted() -> None:
    data = SyntheticSessions(num_sessions=2_000, later_rates=(0.9, 0.3))
    data.setup()
    rows, probability = data.rows["train"], data.probabilities["train"]
    length = torch.bincount(rows.session)[rows.session]
    page = rows.categorical[:, 0]
    is_later = (rows.numerical == rows.numerical.median(dim=0).values).all(dim=1)
    pages = {(n, later): page[(length == n) & (is_later == later)].unique() for n in (18, 6) for later in (True, False)}
    assert {each.tolist()[0] for each in pages.values()} == {1, 2, 3, 4}
    assert all(len(each) == 1 for each in pages.values())
    for n, rate, count in ((18, 0.9, 16), (6, 0.3, 4)):
        later = (length == n) & is_later
        assert later.sum().item() / (length == n).sum().item() == pytest.approx(count / n)
        assert probability[later.numpy()] == pytest.approx(rate)
        assert rows.label[later].mean().item() == pytest.approx(rate, abs=0.02)
    opening = probability[~is_later.numpy()]
    assert rows.label[~is_later].mean().item() == pytest.approx(opening.mean(), abs=0.02)


def test_sessions_are_whole_and_their_positions_count_up() -> None:
    data = SyntheticSessions(num_sessions=200)
    data.setup()
    sessions = [set(data._keys.ids["session"][rows.session.numpy()]) for rows in data.rows.values()]
    assert sum(map(len, sessions)) == len(set.union(*sessions)) == 200


def test_best_attainable_is_the_entropy_of_the_planted_rates() -> None:
    data = SyntheticSessions(num_sessions=20_000)
    points, weights = np.polynomial.hermite_e.hermegauss(40)
    opening = weights @ entropy(1 / (1 + np.exp(-6.0 * points))) / weights.sum()
    later = entropy(np.array([0.99, 0.5]))
    expected = np.mean([(2 * opening + n * each) / (2 + n) for n, each in zip((16, 4), later, strict=True)])
    assert data.best_attainable_session_log_loss == pytest.approx(expected, abs=0.005)


def test_data_seed_alone_decides_the_rows() -> None:
    first, same, other = (
        SyntheticSessions(num_sessions=50, data_seed=seed, seed=order) for seed, order in ((1, 1), (1, 2), (2, 1))
    )
    assert torch.equal(first._rows("train").numerical, same._rows("train").numerical)
    assert not torch.equal(first._rows("train").numerical, other._rows("train").numerical)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"opening_rows": 0}, "opening_rows of at least 1"),
        ({"later_rows": (3, -1)}, r"later_rows of at least 0, got 2 and \(3, -1\)"),
        ({"later_rates": (0.5, 1.5)}, r"must lie in \[0, 1\], got \(0.5, 1.5\)"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SyntheticSessions(**options)  # type: ignore[arg-type]
