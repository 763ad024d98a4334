"""What is answered without a parser is what the parser would refuse."""

import json
import subprocess
import sys
from argparse import ArgumentError
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_modules.cli.early_answers import early_answer
from lightning_modules.cli.main import main
from lightning_modules.cli.option_table import option_table
from lightning_modules.cli.subcommands import spelled_out
from lightning_modules.cli.table_writer import parser_of
from lightning_modules.cli.verb_parser import VerbParser
from lightning_modules.cli.verbs import VERBS
from tests.cli.cli_helpers import DATA, ENVIRONMENT, MODEL, REPOSITORY
from tests.cli.test_option_table import tested_versions

pytestmark = tested_versions
WITHOUT_LIBRARIES = """
import sys
from lightning_modules.cli.main import main
status = main(sys.argv[1:])
sys.exit(99 if {"torch", "pandas", "jsonargparse"} & {*sys.modules} else status)
"""
LONG = "x" * 100_000
CONFIG = str(REPOSITORY / "configs" / "recommenders" / "biased_mf.yaml")


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_the_table_is_the_parsers(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert early_answer([verb, "--help"]) == 0
    of_table = capsys.readouterr().out
    assert main(["--debug", verb, "--help"]) == 0
    assert capsys.readouterr().out == of_table


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["search", "--search.populaton", "3"], 2, "no option --search.populaton; did you mean --search.population"),
        (["search", "--populaton=3"], 2, "there is no option --populaton; did you mean --population"),
        (["fit", "--config", CONFIG, "--trainer.max_epoch=3"], 2, "did you mean --trainer.max_epochs"),
        (
            ["fit", "--config", CONFIG, "--model.lr=3"],
            2,
            "BiasedMF has no argument 'lr'; did you mean --model.optimizer",
        ),
        (["fit", "--model=BiasedMF", "--model.init_args.embeding_dim=3"], 2, "did you mean embedding_dim?"),
        (["fit", "--data=KuaiRand", "--data.path=nothere.csv"], 2, "KuaiRand has no argument 'path'; it has root"),
        (["fit", "--data.root=shop.csv"], 2, "--data needs a class before its arguments"),
        (
            ["fit", "--data=InteractionsDataModule", "--data.root=nothere.csv"],
            1,
            "--data.root: there is no nothere.csv",
        ),
        (["fit", "--config=nothere.yaml"], 2, "there is no file 'nothere.yaml'"),
        (["test", "--ckpt_path=nothere.ckpt"], 1, "--ckpt_path: there is no nothere.ckpt"),
        (["compare", "--study", "nothere"], 1, "'nothere' holds no study"),
        (["export", "nothere", "--to=latex"], 1, "'nothere' holds no study"),
        (["export", "nothere#2"], 1, "'nothere' holds no study"),
        (["report", "nothere"], 1, "there is no folder 'nothere' to report; name that of a search"),
        (["polish", "--help"], 0, "Options of a polish"),
    ],
)
def test_no_library_is_imported_for(arguments: list[str], status: int, said: str) -> None:
    command = [sys.executable, "-c", WITHOUT_LIBRARIES, *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert said in done.stdout + done.stderr
    assert done.returncode == status


def test_a_path_that_is_nearly_one() -> None:
    Path("shop.csv").write_text("")
    assert "did you mean shop.csv?" in _said(["fit", "--data=InteractionsDataModule", "--data.root=shops.csv"])


def _said(arguments: list[str]) -> str:
    done = subprocess.run([sys.executable, str(REPOSITORY / "train.py"), *arguments], capture_output=True, text=True)
    return done.stderr


@pytest.mark.parametrize("section", ["model", "data"])
def test_all_arguments_of_all_classes_are_left_to_the_parser(section: str) -> None:
    for name, cls in option_table().classes[section].items():
        options = [f"--{section}.{argument}=1" for argument in cls.arguments if argument != "root"]
        assert early_answer(["fit", f"--{section}={name}", *options]) is None
        assert (
            early_answer(["fit", f"--{section}", name, *(each.replace(".", ".init_args.", 1) for each in options)])
            is None
        )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model=shop.Model", "--model.depth=3"],
        ["--config=own.yaml", "--model.depth=3"],
        ["--config=own.yaml", "--config=own.yaml", "--data.depth=3"],
        ["--model.class_path=BiasedMF", "--model.depth=3"],
        ["--model=BiasedMF", "--model.dict_kwargs.depth=3"],
        ["--model=BiasedMF", "--model=shop.Model", "--model.depth=3"],
        ["--model=BiasedMF", "--model.optimizer=Adam", "--model.optimizer.lr=3"],
        ["--model=BiasedMF", "--model.loss=shop.Loss", "--model.loss.depth=3"],
        ["--trainer.callbacks=shop.Callback", "--trainer.callbacks.depth=3"],
        ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/auc"],
        ["--ckpt_path=last", "--model.depth=3"],
        ["--data=MovieLens", "--data.root=nothere", "--data.download=true"],
        ["--data=shop.Data", "--data.root=nothere"],
        ["--data=InteractionsDataModule", "--data.root=nothere", "--print_config"],
        ["--model=Focal", "--model.depth=3"],
        ["--", "--nothing"],
        ["--no option=3"],
        ["--trainer=file.yaml"],
        ["-c", "own.yaml", "--model.depth=3"],
    ],
)
def test_what_may_be_meant_is_left_to_the_parser(arguments: list[str]) -> None:
    Path("own.yaml").write_text("model:\n  class_path: shop.Model\n")
    Path("Focal").write_text("class_path: shop.Model\n")
    assert early_answer(["fit", *arguments]) is None


@pytest.mark.parametrize(
    "text", ["model: [", "model: {class_path: [BiasedMF]}", "[1]", "{model: *a}", "model: " + "[" * 3000]
)
def test_a_damaged_file_of_settings_is_left_to_the_parser(text: str) -> None:
    Path("own.yaml").write_text(text)
    assert early_answer(["fit", "--config=own.yaml", "--model.depth=3"]) is None


@pytest.fixture(scope="module")
def parsers() -> dict[str, VerbParser]:
    """The parser of every verb, below a root parser; they say nothing of what they refuse, which takes long."""
    parsers = {verb: parser_of(verb) for verb in VERBS}
    for verb, parser in parsers.items():
        parser.exit_on_error = parser.verbs[verb].exit_on_error = False
    return parsers


def _is_accepted(parser: VerbParser, arguments: list[str]) -> bool:
    try:
        parser.parse_args(spelled_out(arguments))
    except (SystemExit, ArgumentError, ValueError, OSError):
        return False
    return True


def _plain_defaults(parser: VerbParser, verb: str) -> dict[str, str]:
    defaults = parser.verbs[verb].get_defaults().as_flat().__dict__.items()
    # The argument RUN is no option.
    plain = {name: each for name, each in defaults if isinstance(each, int | float | str | None) and name != "run"}
    return {f"--{name}": json.dumps(each) for name, each in plain.items()}


MUTATIONS: tuple[Callable[[str, int], str], ...] = (
    lambda name, _: name,
    lambda name, place: name[: 2 + place % (len(name) - 2)] + name[3 + place % (len(name) - 2) :],
    lambda name, place: name[: 2 + place % (len(name) - 2)],
    lambda name, place: f"{name[: 2 + place % (len(name) - 2)]}x{name[2 + place % (len(name) - 2) :]}",
    lambda name, _: f"--{name.partition('.')[2] or name[2:]}",
    lambda name, _: f"{name}.init_args",
    lambda name, _: f"{name}+",
)


def _refused_though_accepted(verb: str, parser: VerbParser, examples: int) -> None:
    """Look for an option, written well or badly, that is refused though the parser accepts it."""
    values = _plain_defaults(parser, verb)
    needed = {"check": ["--formulas", "pred"], "report": ["."], "export": ["."]}.get(verb, [*MODEL, *DATA])
    drawn = st.tuples(st.sampled_from(sorted(values)), st.sampled_from(MUTATIONS), st.integers(0, 40), st.booleans())
    accepted = set[bool]()

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    @given(drawn)
    def check(drawn: tuple[str, Callable[[str, int], str], int, bool]) -> None:
        option, mutation, place, is_one = drawn
        name = mutation(option, place)
        arguments = [verb, *needed, *([f"{name}={values[option]}"] if is_one else [name, values[option]])]
        is_accepted = _is_accepted(parser, arguments)
        accepted.add(is_accepted)
        assert not is_accepted or early_answer(arguments) in (None, 0)

    check()
    assert accepted == {True, False}


@pytest.mark.parametrize("verb", ["fit", "search", "check"])
def test_nothing_that_the_parser_accepts_is_refused(verb: str, parsers: dict[str, VerbParser]) -> None:
    _refused_though_accepted(verb, parsers[verb], examples=20)


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_nothing_of_many_that_the_parser_accepts_is_refused(verb: str, parsers: dict[str, VerbParser]) -> None:
    _refused_though_accepted(verb, parsers[verb], examples=25)


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", f"--{LONG}"],
        ["fit", LONG],
        ["fit", f"--model={LONG}", "--data=SyntheticInteractions"],
        ["fit", "--model=BiasedMF", f"--model.{LONG}=1", "--data=SyntheticInteractions"],
        ["fit", "--model=BiasedMF", "--data=InteractionsDataModule", f"--data.root=/{'x' * 900}"],
        ["check", "--formulas", "-" * 100_000],
    ],
    ids=["option", "value", "class", "argument", "path", "formula"],
)
def test_messages_are_short_however_long_what_they_are_about(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) != 0
    assert len(capsys.readouterr().err) < 1_600
