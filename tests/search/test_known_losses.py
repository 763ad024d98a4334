"""What is known of hand-made losses before the first round is told to the strategy."""

import math
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from lightning_modules.losses import MSE, Focal
from lightning_modules.search.ledger import read_ledger
from lightning_modules.search.strategies import PPO, ExhaustiveSearch, RandomSearch
from lightning_modules.search.strategies.surrogate import Surrogate
from tests.search import small_studies
from tests.search.search_helpers import full_space, seeded
from tests.search.small_studies import Stops, interrupted, search


class Noting(RandomSearch):
    """Notes what it is told before the first round."""

    told: ClassVar[list[tuple[Tensor, Tensor, Tensor]]] = []

    def know(self, gradient: Tensor, reward: Tensor, standard_error: Tensor) -> None:
        self.told.append((gradient, reward, standard_error))


class Flat(Focal):
    """A loss that predictions do not change."""

    def from_logit(self, logit: Tensor, label: Tensor) -> Tensor:
        return 0 * super().from_logit(logit, label)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor, Tensor]]:
    monkeypatch.setitem(small_studies.STRATEGIES, "noting", Noting)
    monkeypatch.setattr(Noting, "told", [])
    return Noting.told


@pytest.fixture
def stops(monkeypatch: pytest.MonkeyPatch) -> Stops:
    return Stops(monkeypatch)


def test_references_and_baseline_are_told_with_their_rewards(
    told: list[tuple[Tensor, Tensor, Tensor]], stops: Stops, tmp_path: Path
) -> None:
    search(tmp_path / "a", strategy="noting", references=[MSE(), Flat()], rounds=1)
    ((gradient, reward, error),) = told
    ledger = read_ledger(tmp_path / "a").set_index("formula")
    # What has no gradient teaches nothing. The baseline is BCE, and rewards are over it.
    assert reward.tolist() == [ledger.loc["MSE", "reward"], 0.0]
    assert error.tolist() == [ledger.loc["MSE", "standard_error"], 0.0]
    probabilities = gradient[0][: gradient.shape[1] // 2] / 2
    assert ((probabilities > 0.1) & (probabilities < 0.9)).all()
    of_label_1 = torch.cat([2 * (probabilities - 1), -1 / probabilities]).reshape(2, -1)
    torch.testing.assert_close(gradient[:, len(probabilities) :], of_label_1)
    torch.testing.assert_close(gradient[1, : len(probabilities)], 1 / (1 - probabilities))


def test_a_search_that_goes_on_is_not_told_again(
    told: list[tuple[Tensor, Tensor, Tensor]], stops: Stops, tmp_path: Path
) -> None:
    stops.every_state = True
    with stops.at(60):
        assert interrupted(lambda: search(tmp_path / "a", strategy="noting", rounds=3))
    assert len(told) == 1
    search(tmp_path / "a", strategy="noting", rounds=3)
    assert len(told) == 1


@pytest.mark.parametrize("strategy", [PPO, ExhaustiveSearch])
def test_a_surrogate_knows_them(strategy: Any) -> None:
    known = strategy(full_space(4), seeded())
    known.know(torch.eye(3).double(), torch.tensor([0.1, 0.3, 0.2]).double(), torch.full((3,), math.nan).double())
    assert known.surrogate.predict(torch.eye(3).double()).mean.argsort().tolist() == [0, 2, 1]
    again = Surrogate()
    again.load_state_dict(known.surrogate.state_dict())
    again.revise(torch.tensor([0, 1, 2]), torch.zeros(3).double())
    assert again.predict(torch.eye(3).double()).mean.argsort().tolist() == [0, 2, 1]
