"""What ``--help`` and ``--print_config`` show of every verb."""

import re
from pathlib import Path

import pytest

from lightning_modules.cli.main import main
from tests.cli.cli_helpers import DATA, MODEL

TRAINING = ("fit", "validate", "test", "predict", "search", "compare", "polish")
VERBS = (*TRAINING, "check", "report", "export")
OWN = {
    "predict": ("Options of a prediction", "--output TEXT"),
    "search": ("Options of a search", "--rounds N"),
    "compare": ("Options of a comparison", "--losses NAME ..."),
    "polish": ("Options of a polish", "--seeds N"),
    "check": ("Options of a validation check", "--formulas TEXT ..."),
    "report": ("Options of a report", "--output TEXT"),
    "export": ("Options of an export", "--to {python,"),
}


@pytest.fixture
def shown(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """What a command line prints on a wide terminal."""
    monkeypatch.setenv("COLUMNS", "120")
    assert main(request.param) == 0
    text: str = capsys.readouterr().out
    return text


def section(text: str, title: str) -> str:
    """Return a section of a help text, which ends at an empty line."""
    return text[text.index(f"\n{title}") :].removeprefix("\n").split("\n\n")[0]


def of(verbs: tuple[str, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("verb", "shown"), [(verb, [verb, "--help"]) for verb in verbs], indirect=["shown"])


@of(TRAINING)
def test_sections_of_verbs_that_train(verb: str, shown: str) -> None:
    titles = re.findall(r"^([A-Z].*):$", shown, re.MULTILINE)
    own = [title for title in titles if title.startswith(("Options of", "Checkpoint"))]
    assert titles[: len(own)] == own
    assert [title.split(" (")[0] for title in titles[len(own) :]] == ["Model", "Data", "General", "Lightning's Trainer"]
    assert "BiasedMF, DDPG" in section(shown, "Model")
    assert "--data.help NAME lists its arguments" in shown


@of(tuple(OWN))
def test_own_options_stand_first_and_without_prefix(verb: str, shown: str) -> None:
    title, option = OWN[verb]
    assert f"  {option}" in section(shown, title)
    assert shown.index(title) < shown.index("\nGeneral:")


@of(VERBS)
def test_every_option_is_described_without_paths_of_types(verb: str, shown: str) -> None:
    entries = re.split(r"\n  (?=-)", shown[shown.index("\n\n") :])[1:]
    assert len(entries) >= 5
    for entry in entries:
        flags, *text = re.split(r"\s{2,}", entry.split("\n\n")[0], maxsplit=1)
        assert text, f"{flags} is not described"
        assert len(" ".join(text[0].split())) < 400
    assert "type:" not in shown
    assert "lightning_modules." not in shown
    assert "See :class:" not in shown


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (["search", "--help"], "--rounds N Rounds of the search; after each of them the strategy learns (default: 20)"),
        (["search", "--strategy.help", "PPO"], "--search.strategy.hidden_size N Width of the LSTM (default: 64)"),
        (["search", "--space.help"], "--search.space.nodes N Number of operator nodes, at most 18;"),
        (["fit", "--model.help", "ESMM"], "--model.field_sizes [N,...] Number of indices of every categorical field"),
        (["fit", "--model.help", "ESMM"], "included (taken from the data)"),
        (["fit", "--data.help", "KuaiRand"], "--data.root TEXT Folder of the tables (required)"),
        (["check", "--losses.help", "Focal"], "--losses.gamma NUMBER"),
        (["--help"], "fit Train a model"),
    ],
    indirect=["shown"],
)
def test_help_of_options_and_classes(shown: str, said: str) -> None:
    assert said in " ".join(shown.split())


CONFIGURED = {
    **{verb: [*MODEL, *DATA] for verb in TRAINING},
    "polish": ["--model=ESMM", "--data=SyntheticImpressions"],
    "check": ["--losses", "BCE"],
    "report": ["runs/a"],
    "export": ["runs/a"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_printed_settings_are_a_file_that_says_the_same(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, *CONFIGURED[verb], "--seed_everything=7", "--print_config"]) == 0
    printed = capsys.readouterr().out
    assert "seed_everything: 7" in printed
    Path("settings.yaml").write_text(printed, encoding="utf-8")
    positional = CONFIGURED[verb] if verb in ("report", "export") else []
    assert main([verb, "--config=settings.yaml", *positional, "--print_config"]) == 0
    assert capsys.readouterr().out == printed
