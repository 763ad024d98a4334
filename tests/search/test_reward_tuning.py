"""Tuned rewards: the baseline's setting, the grid that all are trained with, and the best ones trained again."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import pytorch_lightning as pl

from lightning_modules.losses import BCE, CCL, MSE, Formula, FormulaLoss, RankingFormulaLoss, SampledSoftmax
from lightning_modules.search.evaluation import TrialEvaluator
from lightning_modules.search.ledger import read_ledger, read_trials
from lightning_modules.search.reward_tuning import RewardTuning
from lightning_modules.search.schedule import FromScratch
from lightning_modules.search.successive_halving import SuccessiveHalving
from lightning_modules.search.trial import Assignment, Evaluation, TrialKey
from lightning_modules.search.trials import Trials
from lightning_modules.training.trainers import TrainerFactory
from lightning_modules.training.tuning import Setting
from tests.search.child_helpers import planted_data, untrained
from tests.search.small_studies import TUNING, search, without_figures
from tests.training.executors.fake_executor import FakeExecutor

FORMULAS = [FormulaLoss(Formula.parse(text)) for text in ("pred - label", "pred", "label - pred")]
GRID = RewardTuning(learning_rates=[1e-3, 1e-2], weight_decays=[0.0, 1e-4], extensions=1, refinements=1)


class Peaked:
    """An evaluator whose scores fall with the distance of a setting from a loss's best one, and rise with the seed."""

    def __init__(self, best: Mapping[str, tuple[float, float]], group: int = 1) -> None:
        self.best = best
        self.group = group
        self.assignments: list[Assignment] = []

    def check(self, recommender: pl.LightningModule) -> None:
        pass

    def evaluate(self, recommender: pl.LightningModule, assignment: Assignment) -> list[Evaluation]:
        self.assignments.append(assignment)
        return [self._best(loss.title, assignment) for loss in assignment.losses]

    def score(self, title: str, setting: Setting, seed: int = 0) -> float:
        rate, decay = self.best[title]
        distance = math.log10(setting.learning_rate / rate) ** 2 + (1e4 * (setting.weight_decay - decay)) ** 2
        return -distance + (0.5 if seed >= 2**20 and title != "BCE" else 0.0)

    def _best(self, title: str, assignment: Assignment) -> Evaluation:
        scores = {setting: self.score(title, setting, assignment.seed) for setting in assignment.settings}
        setting = max(scores, key=scores.__getitem__)
        return Evaluation("trained", scores[setting], 0.1, setting=setting, epoch=2)


def trials(
    evaluator: Peaked, known: Mapping[TrialKey, Evaluation] | None = None, ladder: tuple[int, ...] = (0,)
) -> Trials:
    return Trials(
        FakeExecutor(3),
        evaluator,
        FromScratch(untrained(planted_data())),
        halving=SuccessiveHalving(ladder),
        baseline=BCE(),
        seed=30,
        known=known or {},
        record=lambda trials: None,
        tuning=GRID,
    )


PEAKS = {"BCE": (1e-2, 1e-4), "pred - label": (4e-3, 3e-4), "pred": (1e-2, 0.0), "label - pred": (1e-3, 1e-4)}


def test_the_baseline_is_tuned_first_and_all_are_trained_with_the_same_grid_around_its_best() -> None:
    evaluator = Peaked(PEAKS)
    tried = trials(evaluator)
    tried.measure_baseline()
    tuning = [each for each in evaluator.assignments if len(each.settings) == 1]
    assert len(tuning) > 4
    assert {each.losses[0].title for each in evaluator.assignments} == {"BCE"}
    found = list(tried.candidates(1, FORMULAS))
    grids = {each.settings for each in evaluator.assignments if each not in tuning}
    (grid,) = grids
    assert grid[0] == max((each.settings[0] for each in tuning), key=lambda each: evaluator.score("BCE", each))
    assert {each.learning_rate for each in grid} == {0.01, 0.004}
    assert {each.weight_decay for each in grid} == {0.0, 3e-5, 1e-4, 3e-4}
    assert len(grid) == 8
    assert {each.patience for each in evaluator.assignments} == {3}
    best = max(evaluator.score("BCE", each) for each in grid)
    for index, trial in found:
        assert trial.reward == max(evaluator.score(FORMULAS[index].title, each) for each in grid) - best
    assert [trial.evaluation.setting for _, trial in found][:2] == [Setting(0.004, 3e-4), Setting(0.01, 0.0)]


def test_every_setting_of_the_baseline_is_told_with_its_score() -> None:
    evaluator = Peaked(PEAKS)
    told: list[tuple[Setting, float | None]] = []
    trials(evaluator).measure_baseline(lambda setting, score: told.append((setting, score)))
    tuning = [each.settings[0] for each in evaluator.assignments if len(each.settings) == 1]
    # Settings of one list are trained side by side, so that they may be told of in another order.
    assert len(told) == len(tuning)
    assert dict(told) == {each: evaluator.score("BCE", each) for each in tuning}


def test_a_known_tuning_is_not_repeated() -> None:
    first = trials(Peaked(PEAKS))
    first.measure_baseline()
    list(first.candidates(1, FORMULAS))
    evaluator = Peaked(PEAKS)
    again = trials(evaluator, first.known)
    again.measure_baseline()
    assert [trial.reward for _, trial in again.candidates(1, FORMULAS)] == [
        trial.reward for _, trial in first.candidates(1, FORMULAS)
    ]
    assert evaluator.assignments == []


def test_short_rungs_train_once_and_the_last_one_trains_the_grid() -> None:
    evaluator = Peaked(PEAKS)
    tried = trials(evaluator, ladder=(1, 3))
    tried.measure_baseline()
    list(tried.candidates(1, FORMULAS))
    of_formulas = [each for each in evaluator.assignments if each.losses[0].title != "BCE"]
    assert [(each.epochs, len(each.settings)) for each in of_formulas] == [(1, 1)] * 3 + [(3, 8)]
    assert {each.settings[0] for each in of_formulas} == {of_formulas[0].settings[0]}


@pytest.mark.parametrize(("group", "calls"), [(1, 3), (8, 3), (16, 2), (24, 1)])
def test_a_call_trains_as_many_losses_as_have_room_with_all_settings(group: int, calls: int) -> None:
    evaluator = Peaked(PEAKS, group)
    tried = trials(evaluator)
    tried.measure_baseline()
    before = len(evaluator.assignments)
    assert len(list(tried.candidates(1, FORMULAS))) == 3
    assert len(evaluator.assignments) - before == calls


def test_the_best_are_trained_again_with_another_seed_against_the_baseline_with_that_seed() -> None:
    evaluator = Peaked(PEAKS)
    tried = trials(evaluator)
    tried.measure_baseline()
    first = dict(tried.candidates(1, FORMULAS))
    both = list(tried.again([first[0], first[2]]))
    assert [trial.key for trial in both] == [first[0].key, first[2].key]
    assert [trial.reward - first[index].reward for index, trial in zip((0, 2), both, strict=True)] == pytest.approx(
        [0.25, 0.25]
    )
    later = evaluator.assignments[-3:]
    assert {each.seed for each in later} == {30 + 2**20}
    assert later[0].losses[0].title == "BCE"
    list(tried.again([first[1]]))
    assert len(evaluator.assignments) - evaluator.assignments.index(later[-1]) == 2


HOT = RewardTuning(
    learning_rates=[1e-2],
    weight_decays=[0.0],
    temperatures=[0.1, 0.2],
    refinements=0,
    learning_rate_factors=[1.0],
    weight_decay_factors=[1.0],
    temperature_factors=[0.5, 1.0],
)


class Heated(Peaked):
    """An evaluator whose scores fall with the distance of the temperature from .4, the same for every loss."""

    def score(self, title: str, setting: Setting, seed: int = 0) -> float:
        return -abs(math.log(dict(setting.options)["temperature"] / 0.4))


def test_the_temperature_of_the_baseline_is_tuned_and_is_an_axis_of_all() -> None:
    evaluator = Heated({})
    tried = Trials(
        FakeExecutor(3),
        evaluator,
        FromScratch(untrained(planted_data())),
        halving=SuccessiveHalving((0,)),
        baseline=SampledSoftmax(),
        seed=30,
        known={},
        record=lambda trials: None,
        tuning=HOT,
    )
    tried.measure_baseline()
    ((_, trial),) = tried.candidates(1, [RankingFormulaLoss("softplus(gap_t)")])
    assert {dict(each.options)["temperature"] for each in evaluator.assignments[-1].settings} == {0.4, 0.2}
    assert trial.evaluation.temperature == 0.4
    (first, *_) = evaluator.assignments[-1].points
    assert first.loss.init_args()["temperature"] == 0.4


def test_a_loss_without_a_temperature_stays_as_it_is() -> None:
    setting = Setting(1e-2, 0.0, (("temperature", 0.3),))
    loss = CCL()
    assert setting.of_loss(loss) is loss
    assert setting.of_loss(SampledSoftmax()).temperature == 0.3
    with pytest.raises(ValueError, match="CCL has no temperature"):
        HOT.check_loss(loss)


def test_settings_that_differ_in_nothing_that_a_loss_has_are_trained_once() -> None:
    settings = tuple(Setting(rate, 0.0, (("temperature", heat),)) for rate in (1e-2, 1e-3) for heat in (0.2, 0.4))
    losses = (RankingFormulaLoss("softplus(gap)"), RankingFormulaLoss("softplus(gap_t)"), CCL())
    assignment = Assignment(losses, ("a", "b", "c"), seed=1, settings=settings)
    points = assignment.points
    assert [point.name for point in points] == [*"aabbbbcc"]
    assert len({(point.name, point.setting) for point in points}) == len(points)
    scores = [0.1, 0.4, 0.1, 0.2, 0.5, 0.3, 0.7, 0.6]
    evaluations = [
        Evaluation("trained", score, 1.0, setting=point.setting) for score, point in zip(scores, points, strict=True)
    ]
    best = assignment.best_of_each(evaluations)
    assert [each.score for each in best] == [0.4, 0.5, 0.7]
    assert [each.seconds for each in best] == [2.0, 4.0, 2.0]
    assert [each.temperature for each in best] == [None, 0.2, None]


@pytest.mark.parametrize("best", [0.0, 2e-5])
def test_a_grid_has_weight_decays_where_the_baseline_wants_none(best: float) -> None:
    tuning = RewardTuning(weight_decays=[0.0, 1e-5, 1e-4], weight_decay_factors=[0.0, 3.0], learning_rate_factors=[1.0])
    decays = [each.weight_decay for each in tuning.around(Setting(1e-3, best)).settings]
    assert decays == ([0.0, 3e-5] if best == 0 else [2e-5, 0.0, 6e-5])


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rates": []},
        {"learning_rates": [0.0, 1e-3]},
        {"weight_decays": [-1e-3]},
        {"learning_rate_factors": [math.inf]},
        {"weight_decay_factors": [math.nan]},
        {"patience": 0},
        {"extensions": -1},
        {"retrained_share": 1.0},
    ],
)
def test_numbers_that_make_no_grid_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"--search.tuning.{next(iter(wrong))}"):
        RewardTuning(**wrong)  # type: ignore[arg-type]


def test_a_search_rewards_the_best_of_the_grid_over_the_baselines_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_figures(monkeypatch)
    tuning = dataclasses.replace(TUNING, retrained_share=0.0)
    search(tmp_path, strategy="random", tuning=tuning, epochs=3, references=[MSE()], rounds=1, population=6)
    data, start = planted_data().hold_out(0.1, seed=5), untrained(planted_data())
    (own,) = {each.setting for key, each in read_trials(tmp_path).items() if key.kind == "baseline"}
    settled = [each for key, each in read_trials(tmp_path).items() if key.kind == "tuning"]
    best = max(settled, key=lambda each: each.score or 0.0).setting
    assert best is not None
    grid = tuning.around(best).settings
    assert own in grid
    recipe = {"max_epochs": 3, "accelerator": "cpu", "devices": 1}
    by_hand = TrialEvaluator(TrainerFactory(recipe), data).evaluate(
        start, Assignment((BCE(), MSE()), ("BCE", "MSE"), 5, settings=grid, patience=1)
    )
    found = read_ledger(tmp_path).set_index("formula").loc["MSE"]
    assert found["reward"] == pytest.approx((by_hand[1].score or 0.0) - (by_hand[0].score or 0.0), abs=1e-5)
    assert by_hand[1].setting == Setting(found["learning_rate"], found["weight_decay"])
    assert by_hand[1].epoch == found["best_epoch"]


def test_a_search_tells_of_the_best_candidates_after_their_second_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_figures(monkeypatch)
    search(tmp_path, strategy="random", tuning=TUNING, epochs=3, references=[], rounds=1, population=6)
    trials = read_trials(tmp_path)
    again = {key.name: each for key, each in trials.items() if key.kind == "retrial"}
    first = {key.name: each for key, each in trials.items() if key.kind == "candidate"}
    bases = {key.position: each.score for key, each in trials.items() if key.is_baseline}
    found = read_ledger(tmp_path).set_index("formula")
    assert 1 <= len(again) < len(first) == len(found)
    for name, row in found.iterrows():
        scores = [(first[name].score, bases[0]), *([(again[name].score, bases[1])] if name in again else [])]
        assert row["reward"] == pytest.approx(sum((one or 0) - (other or 0) for one, other in scores) / len(scores))
    assert min(again[name].standard_error or 0 for name in again) > 0


def test_tuning_without_a_baseline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--search\.relative false"):
        search(tmp_path, tuning=TUNING, relative=False)
