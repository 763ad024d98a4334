"""Sizes beyond any memory, files that never end and messages that nobody could read are kept away."""

import os
from pathlib import Path

import pytest

from lightning_modules.cli.error_messages import own_message
from lightning_modules.cli.main import main
from tests.cli.cli_helpers import DATA, MODEL, SEARCH, TRAINER

FIT = ["fit", *MODEL, *DATA, *TRAINER, "--trainer.logger=false", "--trainer.enable_checkpointing=false"]
HUGE = str(10**15)


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) in (1, 2)
    error = capsys.readouterr().err
    assert "Traceback" not in error
    message = error.rpartition("error: ")[2]
    assert 0 < len(message) < 2_000
    return message


@pytest.mark.parametrize(
    "option", ["rounds", "candidates", "population", "threads", "workers", "warmup_updates", "draws"]
)
def test_a_count_of_a_search_beyond_any_is_refused_at_once(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"--search.{option} is {HUGE}" in said([*SEARCH, f"--{option}={HUGE}"], capsys)


@pytest.mark.parametrize(
    "option",
    [
        "model.embedding_dim",
        "data.num_users",
        "data.num_interactions",
        "data.batch_size",
        "data.eval_batch_size",
        "data.rank",
    ],
)
@pytest.mark.parametrize("value", [HUGE, "0", "-3"])
def test_a_size_that_is_none_is_refused_by_its_name(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"--{option} is {value}" in said([*FIT, f"--{option}={value}"], capsys)


@pytest.mark.parametrize(
    "option",
    [
        "accelerator=tpu",
        "accelerator=abacus",
        "devices=0",
        "strategy=nonsense",
        "accumulate_grad_batches=0",
        "check_val_every_n_epoch=0",
        "max_time=soon",
    ],
)
def test_a_trainer_that_cannot_be_built(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "rainer" in said([*FIT, f"--trainer.{option}"], capsys)


@pytest.mark.parametrize("trainer", ["[1, 2]", "7", "fast"])
@pytest.mark.parametrize("command", [FIT, SEARCH], ids=["fit", "search"])
def test_a_trainer_that_is_no_section(command: list[str], trainer: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("settings.yaml").write_text(f"trainer: {trainer}\n")
    assert "rainer" in said([*command, "--config=settings.yaml"], capsys)


@pytest.mark.parametrize("option", ["--config", "--ckpt_path", "--data", "--model", "--trainer"])
def test_a_pipe_is_not_waited_for(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe")
    assert "'pipe'" in said([*FIT, f"{option}=pipe"], capsys)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "s3://nowhere/at/all", "x" * 5000, "\udce4", "none"])
@pytest.mark.parametrize("verb", ["fit", "test", "predict"])
def test_a_checkpoint_that_is_no_file(verb: str, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    said([verb, *FIT[1:], f"--ckpt_path={path}"], capsys)


@pytest.mark.parametrize(
    "text",
    ["a: &a [*a]", "model: &m {class_path: BiasedMF, init_args: *m}", "a: " + "[" * 5000, "x: " + "y" * 3_000_000],
)
def test_settings_out_of_bounds(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("settings.yaml").write_text(text)
    said([*FIT, "--config=settings.yaml"], capsys)
    Path("model.yaml").write_text(text)
    said([*FIT, "--model=model.yaml"], capsys)


def test_messages_are_short_and_never_empty() -> None:
    assert len(own_message(ValueError("x" * 1_000_000))) < 1_600
    assert len(own_message(ValueError("line\n" * 100_000)).splitlines()) <= 8
    assert own_message(ValueError()) == "ValueError"
    assert "not enough memory" in own_message(MemoryError())
