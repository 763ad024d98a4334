"""Formulas among losses are computed with the numerics that are asked for, wherever these are named."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lightning_modules.cli.main import main
from lightning_modules.cli.subcommands import OWN_VERBS
from lightning_modules.losses import PRESETS, FormulaBased, LossObject, Numerics, RankingFormulaLoss
from tests.compare.compare_helpers import write_study

FORMULA = "(label - pred) * pred"
PUBLISHED = PRESETS["autolossgen"]
SEARCHED = {"strategy": "PPO", "rounds": 1, "numerics": "autolossgen", "temperature": 0.3}


def losses_of(arguments: Sequence[str], option: str = "losses", verb: str = "compare") -> list[Any]:
    """Return the losses that a completed command line names, built."""
    spelled = next(each for each in OWN_VERBS[verb].complete(arguments) if each.startswith(f"--{verb}.{option}="))
    found = json.loads(spelled.partition("=")[2])
    named = found if isinstance(found, list) else [found]
    return [each if isinstance(each, str) else LossObject.from_spec(each) for each in named]


def formula_of(*arguments: str, option: str = "losses") -> FormulaBased:
    loss = losses_of(arguments, option)[0]
    assert isinstance(loss, FormulaBased)
    return loss


@pytest.fixture
def searched(tmp_path: Path) -> str:
    """The folder of a study with numerics and a temperature of its own."""
    return str(write_study(tmp_path / "searched", ["label - pred"], SEARCHED))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], Numerics()),
        (["--numerics", "autolossgen"], PUBLISHED),
        (["--compare.numerics=autolossgen"], PUBLISHED),
        (["--numerics.low", "1e-3"], Numerics(low=1e-3)),
        (["--numerics={low: -.inf}"], Numerics(low=-math.inf)),
        (["--config={compare: {numerics: autolossgen}}"], PUBLISHED),
        (["--config", "{compare: {numerics: {low: -.inf}, seeds: 2}, model: MF}"], Numerics(low=-math.inf)),
        (["-c", "own.yaml"], PUBLISHED),
        (["-c", "own.yaml", "--numerics", "protected"], Numerics()),
        (["--numerics", "protected", "-c", "own.yaml"], PUBLISHED),
        (["-c", "own.yaml", "-c", "other.yaml"], PUBLISHED),
        (["--config", "none.yaml"], Numerics()),
        (["--config={compare: 1}"], Numerics()),
    ],
    ids=str,
)
def test_a_formula_has_the_numerics_that_are_asked_for(options: list[str], expected: Numerics) -> None:
    Path("own.yaml").write_text("compare:\n  numerics: autolossgen\n")
    Path("other.yaml").write_text("compare:\n  seeds: 3\n")
    for option in ("losses", "baseline"):
        assert formula_of(*options, f"--{option}", FORMULA, option=option).numerics == expected
        assert formula_of(f"--{option}", FORMULA, "--seeds=2", *options, option=option).numerics == expected


def test_what_names_its_numerics_keeps_them(searched: str) -> None:
    spec = json.dumps({"class_path": "FormulaLoss", "init_args": {"formula": FORMULA, "numerics": {"low": -1.0}}})
    other = write_study(Path("other"), [FORMULA], {"strategy": "PPO", "rounds": 1})
    arguments = ["--numerics", "autolossgen", "--losses", "MSE", spec, f"{other}#1"]
    name, written, referred = losses_of(arguments)
    assert name == "MSE"
    assert written.numerics == Numerics(low=-1.0)
    assert referred.numerics == Numerics()


def test_a_study_gives_its_numerics_and_temperature_unless_others_are_named(searched: str) -> None:
    pointwise, ranking = losses_of(["--study", searched, "--losses", FORMULA, "softplus(gap_t)"])
    assert pointwise.numerics == PUBLISHED
    assert isinstance(ranking, RankingFormulaLoss)
    assert (ranking.numerics, ranking.temperature) == (PUBLISHED, 0.3)
    named = formula_of("--losses", FORMULA, "--numerics", "protected", "--study", searched, searched)
    assert named.numerics == Numerics()
    assert formula_of("--losses", FORMULA, "--study", f"{searched}#1").numerics == PUBLISHED


@pytest.mark.parametrize(
    ("options", "numerics", "temperature"),
    [
        ([], Numerics(), 0.1),
        (["--numerics", "autolossgen"], PUBLISHED, 0.1),
        (["--search.temperature=0.3", "--numerics.low", "1e-3"], Numerics(low=1e-3), 0.3),
        (["-c", "own.yaml"], PUBLISHED, 0.4),
        (["-c", "own.yaml", "--temperature", "0.3"], PUBLISHED, 0.3),
    ],
    ids=str,
)
def test_formulas_that_a_search_is_compared_with_are_computed_as_its_own(
    options: list[str], numerics: Numerics, temperature: float
) -> None:
    Path("own.yaml").write_text("search:\n  numerics: autolossgen\n  temperature: 0.4\n  rounds: 3\n")
    for option in ("references", "baseline"):
        texts = [FORMULA, "softplus(gap_t)"] if option == "references" else ["softplus(gap_t)"]
        *pointwise, ranking = losses_of([*options, f"--{option}", *texts], option, "search")
        assert [each.numerics for each in pointwise] == [numerics] * (len(texts) - 1)
        assert (ranking.numerics, ranking.temperature) == (numerics, temperature)


def test_an_impossible_temperature_of_a_search_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    model = ["--model=MF", "--data=SyntheticFeedback"]
    assert main(["search", *model, "--references", "softplus(gap_t)", "--temperature=-1"]) == 1
    assert "--search.temperature" in capsys.readouterr().err


def test_unknown_numerics_are_refused_in_the_same_words(capsys: pytest.CaptureFixture[str]) -> None:
    model = ["--model=BiasedMF", "--data=SyntheticInteractions"]
    for option in ("--losses", "--formulas"):
        assert main(["compare", *model, option, FORMULA, "--numerics=none"]) == 1
        assert "numerics 'none' is unknown" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [["--numerics", "autolossgen"], ["--numerics.low=-.inf"], ["searched"], ["searched", "--numerics=protected"]],
)
def test_a_check_reads_formulas_among_losses_as_those_that_are_given(options: list[str], searched: str) -> None:
    tables = []
    for option in ("--formulas", "--losses"):
        assert main(["check", *options, option, FORMULA, "--points=50", f"--root=checked{option}"]) == 0
        tables.append(pd.read_csv(f"checked{option}/check.csv"))
    assert tables[0].equals(tables[1])
    assert main(["check", "--formulas", FORMULA, "--points=50", "--root=plain"]) == 0
    plain = pd.read_csv("plain/check.csv")["right_share"].iloc[-1]
    assert (plain != tables[0]["right_share"].iloc[-1]) == (options[-1] in ("autolossgen", "searched"))
