"""Differences between arms, against plain loops over resampled sessions."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.metrics import roc_auc_score
from torch import Tensor

from lightning_modules.polish.differences import ResampledMetrics, Sessions, differences
from lightning_modules.statistics.significance import Difference
from tests.far_logits import moved

TASKS = ("click", "buy")


def sessions(rows: int = 90, seed: int = 0) -> Sessions:
    """Return rows whose sessions differ in length and lie in no order, with numbers that do not begin at 0."""
    generator = torch.Generator().manual_seed(seed)
    session = 7 * torch.randint(20, (rows,), generator=generator).square()
    return Sessions((torch.rand(rows, 2, generator=generator) < 0.4).float(), session, TASKS)


def predicted(given: Sessions, skill: float, seeds: int = 3, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(seeds, *given.label.shape, generator=generator)
    return skill * (2 * given.label - 1) + noise


def plain_metrics(logit: np.ndarray, label: np.ndarray, drawn: list[np.ndarray]) -> tuple[float, float]:
    """Return AUC and session log-loss of sessions, each given by its rows, drawn any number of times."""
    rows, probability = np.concatenate(drawn), expit(logit)
    losses = []
    for session in drawn:
        terms = [
            -math.log(p) if y else -math.log(1 - p) for p, y in zip(probability[session], label[session], strict=True)
        ]
        losses.append(sum(terms) / len(terms))
    return roc_auc_score(label[rows], logit[rows]), sum(losses) / len(losses)


def rows_of_sessions(given: Sessions) -> list[np.ndarray]:
    numbers = given.session.numpy()
    return [np.flatnonzero(numbers == number) for number in np.unique(numbers)]


def compared(logit: Mapping[str, Tensor], given: Sessions, **options: Any) -> dict[tuple[str, str], Difference]:
    return differences(logit, "control", given, **{"resamples": 300, "confidence": 0.9, "seed": 3, **options})


def test_metrics_of_drawn_sessions_are_those_of_their_rows() -> None:
    given = sessions()
    logit, label = predicted(given, 0.5)[..., 0], given.label[:, 0]
    of_session = rows_of_sessions(given)
    draws = np.random.default_rng(0).integers(len(of_session), size=(5, len(of_session)))
    weights = torch.zeros(5, len(label))
    for resample, drawn in enumerate(draws):
        for session in drawn:
            weights[resample, of_session[session]] += 1
    found = ResampledMetrics(logit, label, given.session).metrics(weights)
    for resample, drawn in enumerate(draws):
        for seed in range(len(logit)):
            expected = plain_metrics(
                logit[seed].double().numpy(), label.numpy(), [of_session[session] for session in drawn]
            )
            assert float(found["auc"][resample, seed]) == pytest.approx(expected[0], abs=1e-9)
            assert float(found["session_log_loss"][resample, seed]) == pytest.approx(expected[1], abs=1e-6)


def test_estimate_interval_and_p_value_are_those_of_a_plain_bootstrap() -> None:
    given, resamples = sessions(), 60
    # Seeds that do not differ add nothing to what the sessions leave open.
    arms = {name: predicted(given, skill, 1).repeat(2, 1, 1) for name, skill in (("control", 0.5), ("arm", 0.8))}
    found = compared(arms, given, resamples=resamples, seed=3)
    of_session = rows_of_sessions(given)
    count = len(of_session)
    draws = torch.randint(count, (resamples, count), generator=torch.Generator().manual_seed(3))
    for place, task in enumerate(TASKS):
        arm, control = (arms[name][0, :, place].double().numpy() for name in ("arm", "control"))
        label = given.label[:, place].numpy()

        def gap(drawn: list[np.ndarray], arm: Any = arm, control: Any = control, label: Any = label) -> np.ndarray:
            return np.subtract(plain_metrics(arm, label, drawn), plain_metrics(control, label, drawn))

        gaps = np.array([gap([of_session[session] for session in resample]) for resample in draws])
        for column, metric in enumerate(("auc", "session_log_loss")):
            difference = found["arm", f"{metric}/{task}"]
            assert difference.estimate == pytest.approx(gap(of_session)[column], abs=1e-6)
            # Of 60 draws and one more, a twentieth is 3.05.
            places = [2.05 / (resamples - 1), 1 - 2.05 / (resamples - 1)]
            expected = np.quantile(gaps[:, column], places)
            assert [difference.low, difference.high] == pytest.approx(expected, abs=1e-6)
            beyond = min((gaps[:, column] <= 0).sum(), (gaps[:, column] >= 0).sum())
            assert difference.p_value == pytest.approx(min(1.0, 2 * (1 + beyond) / (resamples + 1)))


def test_equal_arms_do_not_differ() -> None:
    given = sessions()
    found = compared({name: predicted(given, 0.5) for name in ("control", "arm")}, given)
    assert set(found) == {("arm", f"{metric}/{task}") for metric in ("auc", "session_log_loss") for task in TASKS}
    for difference in found.values():
        assert (difference.estimate, difference.low, difference.high, difference.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_arms_that_differ_by_chance_alone_are_not_told_apart() -> None:
    given = sessions(400)
    found = compared({"control": predicted(given, 0.5, seed=1), "arm": predicted(given, 0.5, seed=2)}, given)
    assert all(difference.low < 0 < difference.high for difference in found.values())
    assert all(difference.p_value > 0.1 for difference in found.values())


def test_a_planted_difference_is_found_in_its_task_alone() -> None:
    given = sessions(400)
    control = predicted(given, 0.5)
    better = control.clone()
    better[..., 0] = control[..., 0] + 0.6 * (2 * given.label[:, 0] - 1)
    found = compared({"control": control, "better": better}, given)
    assert found["better", "auc/click"].low > 0
    assert found["better", "session_log_loss/click"].high < 0
    assert found["better", "auc/click"].p_value < 0.05
    assert found["better", "auc/buy"].estimate == 0.0


def test_what_is_said_of_an_arm_does_not_depend_on_the_others() -> None:
    given = sessions()
    # Seeds that differ, so that there is something to draw for them.
    uneven = torch.cat([predicted(given, skill, 1) for skill in (0.2, 1.0, 2.0)])
    arms = {"control": predicted(given, 0.5), "first": uneven.flip(0), "arm": uneven}
    alone = {name: arms[name] for name in ("control", "arm")}
    both = compared(arms, given)
    assert compared(alone, given) == {key: difference for key, difference in both.items() if key[0] == "arm"}
    shown = both["arm", "auc/click"]
    assert shown.high - shown.low > 0.1


def test_probabilities_that_round_to_0_and_1_have_a_finite_loss() -> None:
    given = sessions()
    sure = 500 * predicted(given, 0.5).sign()
    found = compared({"control": predicted(given, 0.5), "sure": sure}, given)
    assert found["sure", "session_log_loss/click"].estimate > 0
    assert math.isfinite(found["sure", "session_log_loss/click"].estimate)


@moved
def test_differences_of_auc_do_not_depend_on_where_logits_lie(scale: float, shift: float) -> None:
    given = sessions()
    arms = {name: (8 * predicted(given, skill)).round() / 8 for name, skill in (("control", 0.5), ("arm", 0.8))}
    found = compared({name: each * scale + shift for name, each in arms.items()}, given)
    for key, difference in compared(arms, given).items():
        assert key[1].startswith("session") or found[key] == difference
