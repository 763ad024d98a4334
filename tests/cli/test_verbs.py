"""Verbs are known by name, and their parsers are built when they are asked for."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lightning_modules.cli.main import main
from lightning_modules.cli.subcommands import OWN_VERBS
from lightning_modules.cli.verbs import TRAINER_VERBS, VERBS, values_of
from tests.cli.cli_helpers import DATA, ENVIRONMENT, MODEL

WITHOUT_TORCH = """
import sys
from lightning_modules.cli.main import main
status = main(sys.argv[1:])
sys.exit(99 if "torch" in sys.modules else status)
"""

#: One process for all of them, since each would import torch.
WITHOUT_LIGHTNING = """
import sys
from lightning_modules.cli.main import main
commands = [
    ["check", "--formulas", "lable", "--losses", "null"],
    ["check", "--formulas", "pred", "--print_config"],
    ["report", "."],
    ["export", ".", "--to=latex"],
]
print([main(command) for command in commands])
sys.exit(99 if "pytorch_lightning" in sys.modules else 0)
"""


def test_every_verb_has_a_description() -> None:
    assert [*VERBS] == [*TRAINER_VERBS, *OWN_VERBS]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--help"], 0, "fit       Train a model"),
        (["--debug", "-h"], 0, "search    Search for a loss function"),
        (["serch"], 2, "there is no verb 'serch'; did you mean search?"),
        (["--lr=3"], 2, "there is no verb; choose among fit, validate"),
        (["fit", "-c", "none.yaml"], 2, "--config: there is no file 'none.yaml'\nHelp: train.py fit --help"),
    ],
)
def test_what_needs_no_torch_does_not_import_it(arguments: list[str], status: int, said: str) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert done.returncode == status
    assert said in done.stdout + done.stderr


def test_a_file_before_the_verb_may_have_settings_of_several(capsys: pytest.CaptureFixture[str]) -> None:
    Path("all.yaml").write_text("fit: {seed_everything: 3}\nsearch: {seed_everything: 4}\n")
    for verb, seed in (("fit", 3), ("search", 4)):
        assert main(["--config=all.yaml", verb, *MODEL, *DATA, "--print_config"]) == 0
        assert yaml.safe_load(capsys.readouterr().out)["seed_everything"] == seed


def test_values_of_an_option_in_both_spellings() -> None:
    assert [*values_of(["--config", "a", "-c=b", "--config=c", "-c"], "--config", "-c")] == ["a", "b", "c"]


def test_verbs_that_train_nothing_do_not_import_lightning() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_LIGHTNING], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert done.stdout.splitlines()[-1] == "[1, 0, 1, 1]"
    assert done.returncode == 0


def test_a_loss_of_a_package_that_is_not_imported_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--losses", "CriticWeightedLoss"]) == 2
    assert "arguments are required: --losses.agent" in capsys.readouterr().err
