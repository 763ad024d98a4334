import pytest

from lightning_modules.utilities.durations import duration_words, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("2h", 7_200), ("1h30m", 5_400), ("1d 2h", 93_600), ("10 min", 600), ("1.5h", 5_400)],
)
def test_a_duration_is_the_sum_of_its_units(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds
    assert seconds_of(duration_words(seconds)) == seconds


@pytest.mark.parametrize("number", [45, 0.5, "45", "0.5"])
def test_a_bare_number_is_seconds(number: str | float) -> None:
    assert seconds_of(number) == float(number)


@pytest.mark.parametrize(
    "text", ["", "soon", "10x", "m", "-5m", "0s", "0", "1.2.3s", "30m1h", "30m1h5", "nan", 0, -1.0, float("inf")]
)
def test_what_is_no_duration_is_refused(text: str | float) -> None:
    with pytest.raises(ValueError, match="is no duration: write 90s, 10m"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("text", "meant"), [("1h30", "1h30m"), ("10m 30", "10m 30s"), ("1d2", "1d2h"), ("10 MIN 5", "10 min 5s")]
)
def test_a_number_after_a_unit_needs_one_too(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' is no duration: its last number has no unit; write {meant}, if"):
        seconds_of(text)
    assert seconds_of(meant) > 0


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0.4s"), (61, "1m1s"), (5_400, "1h30m"), (90_000, "1d1h")])
def test_words_name_the_units_that_are_there(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words
