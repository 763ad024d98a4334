"""The grid follows the best setting and closes in on it."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_modules.losses import BCE, Focal, SLatK
from lightning_modules.training.tuning import Axis, Setting, Tuning, best_settings

RATES, DECAYS = Axis.of([1e-3, 1e-2]), Axis.of([1e-5, 1e-4, 1e-3])


class Landscape:
    """A score with one peak, and a note of every setting that was scored."""

    def __init__(self, rate: float, decay: float) -> None:
        self.peak = (math.log10(rate), math.log10(decay))
        self.scored: list[Setting] = []

    def __call__(self, settings: Sequence[Setting]) -> list[float]:
        self.scored += settings
        return [*map(self.height, settings)]

    def height(self, setting: Setting) -> float:
        """Return the score of a setting."""
        decay = math.log10(setting.weight_decay) if setting.weight_decay else -30.0
        return -((math.log10(setting.learning_rate) - self.peak[0]) ** 2) - (decay - self.peak[1]) ** 2


def test_without_more_it_is_a_grid() -> None:
    landscape = Landscape(1e-3, 1e-4)
    assert Tuning(RATES, DECAYS).best(landscape) == Setting(1e-3, 1e-4)
    assert landscape.scored == list(Tuning(RATES, DECAYS).settings)
    assert len(landscape.scored) == Tuning(RATES, DECAYS).at_least == 6


@pytest.mark.parametrize(("extensions", "found"), [(0, 1e-3), (1, 1e-2), (2, 1e-1), (5, 1e-1)])
def test_it_goes_on_beyond_an_end_as_long_as_that_is_better(extensions: int, found: float) -> None:
    best = Tuning(RATES, DECAYS, extensions=extensions).best(Landscape(1e-3, 1e-1))
    assert best == Setting(1e-3, found)


def test_it_goes_on_below_too_unless_zero_is_the_end() -> None:
    landscape = Landscape(1e-3, 1e-7)
    assert Tuning(RATES, DECAYS, extensions=2).best(landscape) == Setting(1e-3, 1e-7)
    with_zero = Axis.of([0.0, *DECAYS.values])
    assert Tuning(RATES, with_zero, extensions=2).best(landscape) == Setting(1e-3, 1e-5)


@given(rate=st.floats(-3.4, -1.6), decay=st.floats(-5.4, -2.6), refinements=st.integers(1, 4))
def test_each_refinement_halves_the_distance(rate: float, decay: float, refinements: int) -> None:
    landscape = Landscape(10**rate, 10**decay)
    tuning = Tuning(RATES, DECAYS, refinements=refinements)
    best = tuning.best(landscape)
    # Three figures are kept, so half a percent may be missing.
    step = 0.5 ** (refinements + 1) + 0.01 * refinements
    assert abs(math.log10(best.learning_rate) - rate) <= step
    assert abs(math.log10(best.weight_decay) - decay) <= step
    assert len(set(landscape.scored)) == len(landscape.scored) <= tuning.at_least


def test_what_is_fixed_stays_and_equals_go_to_the_first() -> None:
    tuning = Tuning(Axis.of([0.02]), Axis.of([0.0]), extensions=3, refinements=3)
    scored: list[Setting] = []
    assert tuning.best(lambda settings: scored.extend(settings) or [0.5] * len(settings)) == Setting(0.02, 0.0)
    assert scored == [Setting(0.02, 0.0)]
    assert Tuning(RATES, DECAYS).best(lambda settings: [0.5] * len(settings)) == Setting(1e-3, 1e-5)


def test_a_loss_that_diverges_everywhere_is_not_pursued() -> None:
    scored: list[Setting] = []
    tuning = Tuning(RATES, DECAYS, extensions=3, refinements=3)
    tuning.best(lambda settings: scored.extend(settings) or [-math.inf] * len(settings))
    assert scored == list(tuning.settings)


def test_zero_has_a_neighbour_below_the_smallest() -> None:
    decays = Axis.of([0.0, 1e-4, 1e-3])
    assert decays.around(0.0, 1) == (3.16e-5,)
    assert decays.ends(extensions=2) == (0.0, pytest.approx(0.1))


GAMMA = Axis.of([0.5, 2.0])


def test_an_option_of_a_loss_is_an_axis_for_those_that_have_it() -> None:
    tuning = Tuning(RATES, Axis.of([0.0]), options={"gamma": GAMMA})
    assert [dict(each.options) for each in tuning.of_loss(Focal()).settings] == [{"gamma": 0.5}, {"gamma": 2.0}] * 2
    assert tuning.of_loss(BCE()).settings == (Setting(1e-3, 0.0), Setting(1e-2, 0.0))


@given(gamma=st.floats(-1.5, 1.5))
def test_an_option_is_followed_beyond_its_end_and_refined(gamma: float) -> None:
    tuning = Tuning(Axis.of([0.01]), Axis.of([0.0]), extensions=3, refinements=3, options={"gamma": GAMMA})
    best = tuning.best(lambda settings: [-abs(math.log10(each.value("gamma")) - gamma) for each in settings])
    inside = min(max(gamma, math.log10(0.5 / 4**3)), math.log10(2.0 * 4**3))
    assert abs(math.log10(best.value("gamma")) - inside) <= math.log10(4) / 8 + 0.01


@pytest.mark.parametrize("trials", [6, 7, 11, 20])
@pytest.mark.parametrize("peak", [(1e-3, 1e-4), (3e-2, 1e-6), (4e-3, 2e-4)])
def test_every_loss_is_tried_as_often_as_asked(trials: int, peak: tuple[float, float]) -> None:
    landscape = Landscape(*peak)
    tuning = Tuning(RATES, DECAYS, extensions=2, refinements=1, trials=trials)
    best = tuning.best(landscape)
    assert len(set(landscape.scored)) == len(landscape.scored) == trials == tuning.at_least
    assert best == max(landscape.scored, key=landscape.height)


@pytest.mark.parametrize(("rates", "reached"), [([0.02], 1), ([0.01, 0.02], 2 + 2 * 12)])
def test_trials_that_refinements_cannot_reach_are_known_beforehand(rates: list[float], reached: int) -> None:
    tuning = Tuning(Axis.of(rates), Axis.of([0.0]), trials=100)
    scored: list[Setting] = []
    # Off the points of the grid, so that every refinement has two new neighbours but for rounding.
    tuning.best(
        lambda settings: scored.extend(settings) or [-abs(math.log(each.learning_rate / 0.0133)) for each in settings]
    )
    assert tuning.at_least == reached
    assert min(reached, 9) <= len(scored) <= reached


def test_a_grid_larger_than_the_trials_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--compare.trials is 5, but the grid of Focal alone has 12 settings"):
        Tuning(RATES, DECAYS, options={"gamma": GAMMA}, trials=5).of_loss(Focal())


def test_whole_numbers_stay_whole() -> None:
    tuning = Tuning(Axis.of([0.1]), Axis.of([0.0]), 1, 2, {"k": Axis.of([5, 10])}).of_loss(SLatK())
    tried: list[Setting] = []
    best = tuning.best(lambda settings: tried.extend(settings) or [-abs(each.value("k") - 17) for each in settings])
    assert {each.value("k") for each in tried} == {5, 10, 20, 14, 28, 17, 24}
    assert best.of_loss(SLatK()).init_args()["k"] == 17


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"k": [2.5]}, "2.5 for loss.k, which takes whole"),
        ({"detach_weight": [0.0, 1.0]}, "takes no numbers for SLatK"),
    ],
)
def test_options_that_are_no_such_numbers_are_refused(options: dict[str, list[float]], words: str) -> None:
    axes = {name: Axis.of(values) for name, values in options.items()}
    with pytest.raises(ValueError, match=words):
        Tuning(RATES, DECAYS, options=axes).of_loss(SLatK())


def test_a_setting_changes_the_options_of_the_loss_and_nothing_else() -> None:
    loss = Focal(gamma=1.5)
    assert Setting(0.1, 0.0).of_loss(loss) is loss
    tuned = Setting(0.1, 0.0, (("gamma", 3.0),)).of_loss(loss)
    assert tuned.init_args() == {**loss.init_args(), "gamma": 3.0}
    assert loss.gamma == 1.5


def test_tunings_side_by_side_end_as_each_does_alone() -> None:
    centres = [(1e-3, 1e-1), (1e-2, 1e-7), (3e-3, 1e-4)]
    tunings = [Tuning(RATES, DECAYS, extensions=number, refinements=2 - number) for number in range(3)]
    landscapes = [Landscape(*centre) for centre in centres]
    asked: list[set[int]] = []

    def train(points: Sequence[tuple[int, Setting]]) -> list[float]:
        asked.append({number for number, _ in points})
        return [landscapes[number]([setting])[0] for number, setting in points]

    together = best_settings(tunings, train)
    alone = [tuning.best(Landscape(*centre)) for tuning, centre in zip(tunings, centres, strict=True)]
    assert together == alone
    assert asked[0] == {0, 1, 2}
    assert all(asked)
    assert best_settings([], train) == []
