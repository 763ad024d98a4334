"""The front of reward against number of operators, on tables that are written down and on random ones."""

import pandas as pd
import pytest
import torch

from lightning_modules.losses import Formula
from lightning_modules.search.events import Candidate
from lightning_modules.search.front import front, with_operators
from lightning_modules.search.reports.summary import as_table, ranking
from tests.search.observer_helpers import candidate, reference

SHORT, MIDDLE, LONG = "pred / label", "(label - pred)**2", "(label - pred)**2 + abs(label - pred)"


def found(*candidates: Candidate) -> list[str]:
    return front(ranking(as_table(candidates)))["formula"].tolist()


def test_a_longer_formula_needs_a_higher_reward() -> None:
    front_of_three = [candidate(formula=text, reward=reward) for text, reward in ((LONG, 0.3), (SHORT, 0.1))]
    assert found(*front_of_three) == [SHORT, LONG]
    assert found(*front_of_three, candidate(formula=MIDDLE, reward=0.2)) == [SHORT, MIDDLE, LONG]
    assert found(*front_of_three, candidate(formula=MIDDLE, reward=0.05)) == [SHORT, LONG]
    assert found(*front_of_three, candidate(formula=MIDDLE, reward=0.4)) == [SHORT, MIDDLE]


def test_the_first_of_equals_stands_for_all() -> None:
    twins = [candidate(formula=text, reward=0.1) for text in (MIDDLE, "(pred - label)**2", LONG)]
    assert found(*twins) == [MIDDLE]


def test_hand_made_losses_and_what_was_not_trained_to_the_end_are_not_on_it() -> None:
    long = candidate(formula=LONG, reward=0.1, epochs=9)
    short = candidate(formula=SHORT, reward=0.3, epochs=1)
    failed = candidate(formula=MIDDLE, reward=-1.0, metric=None, status="failed", epochs=9)
    assert found(long, short, failed, reference("BCE", 0.5)) == [LONG]
    assert found(failed, reference("BCE", 0.5)) == []
    assert found() == []


def test_it_is_what_a_double_loop_finds() -> None:
    generator = torch.Generator().manual_seed(1)
    operators = torch.randint(8, (60,), generator=generator).tolist()
    rewards = torch.randint(20, (60,), generator=generator).tolist()
    rows = [candidate(reward=reward, operators=number) for reward, number in zip(rewards, operators, strict=True)]
    expected = {
        (number, reward)
        for number, reward in zip(operators, rewards, strict=True)
        if not any(
            shorter <= number and better >= reward and (shorter, better) != (number, reward)
            for shorter, better in zip(operators, rewards, strict=True)
        )
    }
    table = front(ranking(as_table(rows)))
    assert [*zip(table["operators"], table["reward"], strict=True)] == sorted(expected)
    assert table["reward"].is_monotonic_increasing


def test_missing_numbers_are_counted_and_others_kept() -> None:
    rows = [candidate(formula=MIDDLE), candidate(formula="nothing that is read"), candidate(formula=SHORT, operators=9)]
    counted = as_table([*rows, reference("BCE", 0.0)])["operators"]
    assert counted.fillna(-1).tolist() == [2, -1, 9, -1]


def test_a_table_without_the_column_is_counted_too() -> None:
    table = pd.DataFrame({"kind": ["candidate", "reference"], "formula": [LONG, "MSE"]})
    assert with_operators(table)["operators"].fillna(-1).tolist() == [5, -1]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("pred", 0),
        ("(label - pred)**2", 2),
        ("label / pred", 1),
        ("-label * log(pred) - (1 - label) * log(1 - pred)", 8),
        ("(label - pred)**2 + 3 * label + log(label)", 2),
        ("0.7 * (label - pred)**2", 2),
        ("0.7 * (max(pred, label) + 3 * label)", 1),
        ("3 * (pred * (pred + 1))", 2),
        ("max(pred, label) * max(pred, label)", 2),
        ("log(pred * label) / log(pred * label + 1)", 6),
    ],
)
def test_operators_are_those_of_the_text_without_terms_that_have_no_gradient(text: str, count: int) -> None:
    assert Formula.parse(text).num_operators == count
