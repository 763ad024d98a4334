"""A few of the inputs that cannot be meant, of every kind; all of them are a benchmark."""

import pytest

from benchmarks.hostile_inputs import all_inputs, judged

_ONE_IN = 110


@pytest.mark.slow
def test_hostile_inputs_end_soon_with_a_message_and_run_nothing() -> None:
    inputs = all_inputs()[_ONE_IN // 2 :: _ONE_IN]
    assert len(inputs) > 20
    ran = list(judged(inputs, workers=2, longest=90.0))
    assert len(ran) == len(inputs)
    assert [one.text for one in ran if one.faults] == []


def test_every_verb_has_hostile_inputs() -> None:
    verbs = {each.verb for each in all_inputs()}
    assert verbs >= {"search", "check", "compare", "polish", "report", "export", "fit", "validate", "test", "predict"}
