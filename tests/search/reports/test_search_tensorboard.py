import re
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from lightning_modules.losses import Formula, Numerics
from lightning_modules.search.answer import ValidatedFormula, Validation
from lightning_modules.search.reports.tensorboard import SearchTensorBoard
from tests.search.observer_helpers import candidate, reference, round_summary
from tests.search.search_helpers import full_space

pytestmark = pytest.mark.draws

SPACE = full_space(nodes=5)


def read(root: Path) -> EventAccumulator:
    events = EventAccumulator(str(root), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    events.Reload()
    return events


def scalars(events: EventAccumulator, tag: str) -> list[tuple[int, Any]]:
    return [(event.step, pytest.approx(event.value, abs=1e-6)) for event in events.Scalars(tag)]


def test_scalars_of_warm_up_and_rounds_are_readable(tmp_path: Path) -> None:
    report = SearchTensorBoard(tmp_path, SPACE, Numerics(), figures=0)
    report.on_warm_up(1, {"entropy": 2.0})
    report.on_warm_up(2, {"entropy": 1.75})
    report.on_candidate(reference("BCE", 0.0))
    report.on_candidate(candidate(reward=0.02))
    report.on_round(round_summary(1, SPACE, accepted=True))
    report.on_round(round_summary(2, SPACE, rewards=(), accepted=False))
    report.on_end()
    events = read(tmp_path)
    assert scalars(events, "warm_up/entropy") == [(1, 2.0), (2, 1.75)]
    assert scalars(events, "policy/entropy") == [(1, 1.5), (2, 1.5)]
    assert scalars(events, "reward/best") == [(1, 0.02)]
    assert scalars(events, "reward/mean") == [(1, -0.01)]
    assert scalars(events, "reward/above_baseline") == [(1, 0.5)]
    assert scalars(events, "reward/best_so_far") == [(1, 0.02), (2, 0.02)]
    assert scalars(events, "reward/accepted") == [(1, 1.0), (2, 0.0)]
    assert scalars(events, "reference/BCE") == [(1, 0.0), (2, 0.0)]
    assert "reference/(pred - label)**2" not in events.Tags()["scalars"]


def test_shares_of_verdicts_and_operators_are_shares(tmp_path: Path) -> None:
    report = SearchTensorBoard(tmp_path, SPACE, Numerics(), figures=0)
    summary = round_summary(1, SPACE)
    report.on_round(summary)
    report.on_end()
    events = read(tmp_path)
    for verdict in ("trainable", "zero_gradient", "wrong_direction", "duplicate", "large_gradient", "too_long"):
        assert scalars(events, f"drawn/{verdict}") == [(1, pytest.approx(1 / 6))]
    applied: list[str] = []
    for row, used in enumerate(summary.programs.used(3).tolist()):
        numbers = summary.programs.operators[row].tolist()
        applied += [SPACE.operators[number].name for number, is_used in zip(numbers, used, strict=True) if is_used]
    for operator in SPACE.operators:
        expected = applied.count(operator.name) / len(applied)
        assert scalars(events, f"operators/{operator.name}") == [(1, expected)]


def test_the_best_formulas_are_text_after_every_round_and_figures_when_they_change(tmp_path: Path) -> None:
    report = SearchTensorBoard(tmp_path, SPACE, Numerics(), figures=2, patience=0.0)
    changed = ((Formula.parse("log(pred)"), 0.5),)
    for summary in (round_summary(1, SPACE), round_summary(2, SPACE), round_summary(3, SPACE, top=changed)):
        report.on_round(summary)
    report.on_end()
    events = read(tmp_path)
    texts = [event.tensor_proto.string_val[0].decode() for event in events.Tensors("top_formulas/text_summary")]
    assert len(texts) == 3
    assert "1. **+0.02000** `(pred - label)**2`" in texts[0]
    assert "1. **-0.04000** `pred`" in texts[0]
    assert "`log(pred)`" in texts[2]
    assert [event.step for event in events.Images("top_formulas/1")] == [1, 3]
    assert [event.step for event in events.Images("top_formulas/2")] == [1]
    assert all(event.width > 300 and event.height > 100 for event in events.Images("top_formulas/1"))


def test_a_rank_has_a_new_figure_when_its_formula_changes(tmp_path: Path) -> None:
    report = SearchTensorBoard(tmp_path, SPACE, Numerics(), figures=2, patience=0.0)
    first, second, better, other = (
        (Formula.parse(text), reward)
        for text, reward in (("log(pred)", 0.5), ("pred", 0.2), ("pred * label", 0.6), ("label - pred", 0.55))
    )
    for number, top in enumerate(((first, second), (better, first), (better, other), (better, other)), start=1):
        report.on_round(round_summary(number, SPACE, top=top))
    report.on_end()
    best, next_best = (read(tmp_path).Images(f"top_formulas/{rank}") for rank in (1, 2))
    assert [event.step for event in best] == [1, 2]
    assert [event.step for event in next_best] == [1, 2, 3]
    assert next_best[1].encoded_image_string == best[0].encoded_image_string
    assert len({event.encoded_image_string for event in [*best, *next_best]}) == 4


def test_figures_of_rounds_in_quick_succession_are_drawn_once_at_the_end(tmp_path: Path) -> None:
    report = SearchTensorBoard(tmp_path, SPACE, Numerics(), figures=1, patience=1e9)
    for number in range(1, 5):
        report.on_round(round_summary(number, SPACE, top=((Formula.parse(f"pred + {number}"), 0.1 * number),)))
    report.on_end()
    events = read(tmp_path)
    assert [event.step for event in events.Images("top_formulas/1")] == [4]
    assert len(events.Tensors("top_formulas/text_summary")) == 4


def test_a_round_that_found_nothing_is_written(tmp_path: Path) -> None:
    report = SearchTensorBoard(tmp_path, SPACE, Numerics())
    report.on_round(round_summary(1, SPACE, rewards=(), top=(), figures={}))
    report.on_end()
    tags = read(tmp_path).Tags()
    assert "drawn/duplicate" in tags["scalars"]
    assert not [tag for tag in tags["scalars"] if tag.startswith("reward/")]
    assert tags["images"] == []


def test_finalists_and_the_answer_are_written_when_they_are_known(tmp_path: Path) -> None:
    report = SearchTensorBoard(tmp_path, SPACE, Numerics(), figures=0)
    found = [("pred * label", -0.01), ("identity(pred - label)**2", 0.02), ("log(pred)", None)]
    formulas = tuple(ValidatedFormula(text, gap, 0.01, gap == 0.02) for text, gap in found)
    report.on_validation(Validation(5, "BCE", 0.7, formulas[:1]))
    report.on_validation(Validation(10, "BCE", 0.7, formulas))
    report.on_end()
    events = read(tmp_path)
    assert scalars(events, "validated/best") == [(5, -0.01), (10, 0.02)]
    answers, texts = (
        [event.tensor_proto.string_val[0].decode() for event in events.Tensors(f"{name}/text_summary")]
        for name in ("answer", "validated_formulas")
    )
    assert answers == ["nothing that beats BCE was found", "`(pred - label)**2`"]
    assert texts[1] == "1. **-0.01000** `pred * label`\n1. **+0.02000** `(pred - label)**2`"


def test_every_operator_is_on_one_chart_and_charts_have_few_curves(tmp_path: Path) -> None:
    report = SearchTensorBoard(tmp_path, SPACE, Numerics(), figures=0)
    report.on_round(round_summary(1, SPACE))
    report.on_end()
    events = read(tmp_path)
    (written,) = events.Tensors("custom_scalars__config__")
    charts = [
        chart for group in Layout.FromString(written.tensor_proto.string_val[0]).category for chart in group.chart
    ]
    tags = events.Tags()["scalars"]
    shown = {chart.title: [tag for tag in tags if re.match(chart.multiline.tag[0], tag)] for chart in charts}
    assert max(map(len, shown.values())) <= 5
    operators = [tag for found in shown.values() for tag in found if tag.startswith("operators/")]
    assert sorted(operators) == sorted(tag for tag in tags if tag.startswith("operators/"))
