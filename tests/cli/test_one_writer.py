"""Every folder has one writer, and a full disk is told by the file that did not fit."""

import os
from pathlib import Path

import pytest

from benchmarks.common.fork_server import ForkServer
from lightning_modules.cli.main import main
from lightning_modules.utilities.folder_lock import folder_lock
from tests.cli.cli_helpers import DATA, MODEL, TRAINER
from tests.cli.test_other_data import POLISH, impressions

GRID = ["--learning_rates", "1e-2", "--weight_decays", "0", "--extensions", "0", "--refinements", "0"]
COMPARE = ["compare", *DATA, *MODEL, *TRAINER, *GRID, "--losses", "MSE", "--resamples=50", "--seeds=1", "--root=run"]
FIT = ["fit", *DATA, *MODEL, *TRAINER, "--trainer.default_root_dir=run", "--trainer.callbacks+=LastCheckpoint"]
POLISH_ONE = [*POLISH, "--seeds=1", "--variants=[]"]
AGAIN = "ree some space, then give the same command again"


@pytest.mark.parametrize(
    ("work", "command", "remedy"),
    [
        ("comparison", COMPARE, "name another folder with --root"),
        ("polish", POLISH_ONE, "name another folder with --root"),
    ],
)
def test_a_second_writer_is_refused(
    work: str, command: list[str], remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    impressions().to_csv("shop.csv", index=False)
    with folder_lock(Path("run"), work, remedy):
        assert main(command) == 1
    said = capsys.readouterr().err
    assert f"'run' is being written by another {work} (process {os.getpid()} on " in said
    assert remedy in said
    assert {path.name for path in Path("run").iterdir()} == {"lock"}


def test_a_second_fit_in_a_run_s_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--trainer.max_epochs=1"]) == 0
    run = Path("run/lightning_logs/version_0")
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    with folder_lock(run, "training", "end it"):
        assert main([*FIT, "--trainer.max_epochs=2", "--ckpt_path=last"]) == 1
    assert "is being written by another training" in capsys.readouterr().err
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before
    assert main([*FIT, "--trainer.max_epochs=2", "--ckpt_path=last"]) == 0
    assert not (run / "writer.json").exists()


# The limits are met by the configuration, the predictions or checkpoints, and the report.
@pytest.mark.parametrize("limit", [1_000, *(pytest.param(each, marks=pytest.mark.slow) for each in (2_600, 12_000))])
@pytest.mark.timeout(120)
def test_a_full_disk_ends_a_comparison_that_then_goes_on(
    drawing_server: ForkServer, tmp_path: Path, limit: int
) -> None:
    command = [*COMPARE[:-1], f"--root={tmp_path / 'run'}"]
    assert drawing_server(command, tmp_path / "full.txt", file_size=limit).wait(100) == 1
    said = (tmp_path / "full.txt").read_text()
    assert f"error: '{tmp_path / 'run'}/" in said.splitlines()[-1]
    assert AGAIN in said.splitlines()[-1]
    assert not list((tmp_path / "run").rglob("*.tmp"))
    assert drawing_server(command, tmp_path / "again.txt").wait(100) == 0


@pytest.mark.timeout(120)
def test_a_full_disk_in_fit_predict_and_export(server: ForkServer, tmp_path: Path) -> None:
    fit = [*FIT[:-2], f"--trainer.default_root_dir={tmp_path / 'run'}", FIT[-1], "--trainer.logger=false"]
    assert server(fit, tmp_path / "full.txt", file_size=5_000).wait(100) == 1
    assert f"{AGAIN} with --ckpt_path last" in (tmp_path / "full.txt").read_text().splitlines()[-1]
    assert server(fit, tmp_path / "output.txt").wait(100) == 0
    checkpoint = str(next((tmp_path / "run").rglob("last.ckpt")))
    output = tmp_path / "table.csv"
    predict = ["predict", *DATA, *MODEL, *TRAINER, f"--ckpt_path={checkpoint}", f"--output={output}", fit[-3]]
    assert server([*predict, "--trainer.logger=false"], tmp_path / "predict.txt", file_size=3_000).wait(100) == 1
    said = (tmp_path / "predict.txt").read_text().splitlines()[-1]
    assert f"error: '{output}' cannot be written: " in said
    assert AGAIN in said
    assert not output.exists()
    assert not list(tmp_path.glob(".table*"))
