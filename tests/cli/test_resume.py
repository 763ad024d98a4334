"""A training that was stopped ends, with ``--ckpt_path last``, as one that was not."""

import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from benchmarks.common.fork_server import ForkServer
from lightning_modules import multitask
from lightning_modules.cli.main import main
from tests.cli.cli_helpers import TRAINER, status_when_ended

INTERACTIONS = [
    *("--data=SyntheticInteractions", "--data.num_users=60", "--data.num_items=50", "--data.num_interactions=1000"),
    "--data.batch_size=128",
]
IMPRESSIONS = ["--data=SyntheticImpressions", "--data.num_sessions=150", "--data.session_length=4"]
SESSIONS = ["--data=SessionsDataModule", *(each.replace("data", "data.impressions", 1) for each in IMPRESSIONS)]
SMALL = ["--model.embedding_dim=4", "--model.bottom_dims=[8]", "--model.tower_dims=[4]", "--model.dropout=0.3"]
EXPERTS = {
    **{model: ["--model.num_experts=2"] for model in ("OMoE", "MMoE", "MetaHeac")},
    "PLE": ["--model.num_specific_experts=1", "--model.num_shared_experts=1"],
}
AGENT = [
    *("--model.embed_dim=4", "--model.bottom_mlp_dims=[8]", "--model.tower_mlp_dims=[4]", "--model.memory_size=300"),
    *("--model.batch_size=64", "--model.init_training_step=2", "--model.behaviour=noisy_actor"),
]
RECOMMENDERS = {
    "BiasedMF": ["--model.embedding_dim=4"],
    "DeepMF": ["--model.embedding_dim=4", "--model.hidden_features=[8]", "--model.dropout=0.3"],
    "RankNet": ["--model.embedding_dim=4", "--model.hidden_features=[8]", "--model.dropout=0.3"],
}
MULTITASK = ["SingleTask", "SharedBottom", "ESMM", "OMoE", "MMoE", "PLE", "AITM", "MetaHeac"]
#: One of every kind of training step: of pairs, with negatives, of tasks together and in turn.
FEW = ["DeepMF", "RankNet", "SharedBottom", "MetaHeac"]
LAST = "--trainer.callbacks+=LastCheckpoint"
BEST = [
    *("--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.monitor=val/auc", "--trainer.callbacks.mode=max"),
    "--trainer.callbacks.filename=best",
]


class StopAt(pl.Callback):
    """Interrupts a training after a batch."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.place = epoch, batch

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == self.place:
            raise KeyboardInterrupt


def arguments(model: str) -> list[str]:
    if model in RECOMMENDERS:
        return ["fit", *INTERACTIONS, f"--model={model}", *RECOMMENDERS[model], *TRAINER]
    impressions = [*IMPRESSIONS, "--data.batch_size=128"]
    return ["fit", *impressions, f"--model={model}", *SMALL, *EXPERTS.get(model, []), *TRAINER]


@pytest.fixture(scope="module")
def actor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("actor")
    assert main([*arguments("ESMM"), f"--trainer.default_root_dir={folder}"]) == 0
    return next(folder.rglob("*.ckpt"))


def fit(folder: str, command: list[str], *options: str, epochs: int = 2) -> int:
    Path(folder).mkdir(exist_ok=True)
    return main([*command, f"--trainer.default_root_dir={folder}", f"--trainer.max_epochs={epochs}", *options])


def stored(folder: str, name: str = "last") -> dict[str, Any]:
    (path,) = Path(folder).rglob(f"{name}.ckpt")
    return torch.load(path, weights_only=True)


def flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list | tuple):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from flat(inner, f"{key}.{name}")
    else:
        yield key, value


def assert_same(folder: str, other: str, name: str = "last") -> None:
    keys = ("state_dict", "optimizer_states", "training_state", "epoch", "global_step")
    first, second = (dict(flat({key: stored(each, name)[key] for key in keys})) for each in (folder, other))
    assert first.keys() == second.keys()
    for key, value in first.items():
        same = torch.equal(value, second[key]) if isinstance(value, torch.Tensor) else value == second[key]
        assert same, key


def check_resumption(command: list[str]) -> None:
    last = [LAST, "--trainer.callbacks.every_n_train_steps=2"]
    assert fit("whole", command, *last) == 0
    stop = [f"--trainer.callbacks+={__name__}.StopAt", "--trainer.callbacks.epoch=1", "--trainer.callbacks.batch=2"]
    assert fit("stopped", command, *last, *stop) == 130
    inside = stored("stopped")["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
    assert inside["processed"] == 2
    assert fit("stopped", command, *last, "--ckpt_path=last") == 0
    assert_same("whole", "stopped")


def test_all_models_are_tried() -> None:
    kinds = [kind for kind in vars(multitask).values() if isinstance(kind, type)]
    models = {kind.__name__ for kind in kinds if issubclass(kind, multitask.MultiTaskModel)}
    assert {*MULTITASK} == models - {"MultiTaskModel"}


@pytest.mark.parametrize(
    "model",
    [pytest.param(model, marks=() if model in FEW else pytest.mark.slow) for model in (*RECOMMENDERS, *MULTITASK)],
)
def test_a_model_stopped_inside_an_epoch_ends_as_if_it_were_not(model: str) -> None:
    check_resumption(arguments(model))


@pytest.mark.parametrize("agent", [pytest.param("DDPG", marks=pytest.mark.slow), "TD3BC"])
def test_an_agent_stopped_inside_an_epoch_ends_as_if_it_were_not(agent: str, actor: Path) -> None:
    sizes = ["--data.batch_size=128", f"--model={agent}", f"--model.actor={actor}", *AGENT]
    check_resumption(["fit", *SESSIONS, *sizes, *TRAINER])


@pytest.mark.parametrize("weighting", ["DynamicWeightAveraging", "GradientAggregation"])
def test_a_task_weighting_goes_on_inside_an_epoch(weighting: str) -> None:
    if weighting == "GradientAggregation":
        pytest.importorskip("torchjd")
    check_resumption([*arguments("SharedBottom"), f"--model.weighting={weighting}"])


def test_more_epochs_go_on_in_the_same_folder_and_keep_the_best() -> None:
    command = [*arguments("DeepMF"), *BEST, LAST, "--model.optimizer=Adam", "--model.optimizer.lr=0.05"]
    assert fit("whole", command, epochs=5) == 0
    assert fit("raised", command, epochs=2) == 0
    assert fit("raised", command, "--ckpt_path=last", epochs=3) == 0
    assert fit("raised", command, "--ckpt_path=last", epochs=5) == 0
    assert [path.name for path in Path("raised/lightning_logs").iterdir()] == ["version_0"]
    for name in ("best", "last"):
        assert_same("whole", "raised", name)


def test_a_training_that_was_stopped_early_stays_so(recwarn: pytest.WarningsRecorder) -> None:
    stopping = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/auc"]
    command = [*arguments("DeepMF"), *stopping, "--trainer.callbacks.patience=1", "--trainer.callbacks.mode=min", LAST]
    assert fit("run", command, epochs=20) == 0
    ended = stored("run")
    assert ended["epoch"] < 19
    assert fit("run", command, "--ckpt_path=last", epochs=20) == 0
    assert stored("run")["global_step"] == ended["global_step"]
    assert any("EarlyStopping had ended the training" in str(each.message) for each in recwarn)


def test_all_verbs_take_the_last_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    command = arguments("BiasedMF")
    assert main(command) == 0
    for verb in ("validate", "test", "predict"):
        assert main([verb, *command[1:], "--ckpt_path=last", "--data.eval_batch_size=64"]) == 0
    assert Path("predictions.csv").is_file()
    capsys.readouterr()


def test_a_damaged_checkpoint_is_passed_over() -> None:
    command = [*arguments("DeepMF"), *BEST, LAST]
    assert fit("whole", command, epochs=3) == 0
    assert fit("torn", command, epochs=2) == 0
    (last,) = Path("torn").rglob("last.ckpt")
    last.write_bytes(last.read_bytes()[:-2000])
    with pytest.warns(UserWarning, match=r"last\.ckpt is damaged.*taking .*best\.ckpt instead"):
        assert fit("torn", command, "--ckpt_path=last", epochs=3) == 0
    newest = max(Path("torn").rglob("last*.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    whole, torn = stored("whole")["state_dict"], torch.load(newest, weights_only=True)["state_dict"]
    assert all(torch.equal(value, torn[name]) for name, value in whole.items())


def test_what_cannot_be_gone_on_with_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    command = [*arguments("BiasedMF"), LAST]

    def failure(*options: str) -> str:
        capsys.readouterr()
        assert fit("run", command, "--ckpt_path=last", *options) == 1
        return capsys.readouterr().err

    assert "no run below" in failure()
    assert fit("run", command, epochs=1) == 0
    assert "model.init_args.embedding_dim was 4 and is 8" in failure("--model.embedding_dim=8")
    assert "seed_everything was 42 and is 7" in failure("--seed_everything=7")
    (last,) = Path("run").rglob("last.ckpt")
    last.write_bytes(last.read_bytes()[:500])
    assert "last.ckpt is damaged" in failure()
    torch.save({"state_dict": {}}, last)
    assert "last.ckpt lacks loops, lr_schedulers, optimizer_states" in failure()


def has_checkpoint_since(before: int, folder: Path) -> bool:
    return any(path.stat().st_mtime_ns > before for path in folder.rglob("last.ckpt"))


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_signals_cost_no_more_than_an_epoch(server: ForkServer, tmp_path: Path) -> None:
    command = [*arguments("DeepMF"), LAST]
    assert fit("whole", command, epochs=15) == 0
    folder = tmp_path / "killed"
    folder.mkdir()
    command += [f"--trainer.default_root_dir={folder}", "--trainer.max_epochs=15"]
    statuses = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}
    for number, status in statuses.items():
        resumes = ["--ckpt_path=last"] if list(folder.rglob("last.ckpt")) else []
        is_due = partial(has_checkpoint_since, time.time_ns(), folder)
        assert status_when_ended(server, [*command, *resumes], number, is_due) == status
    assert stored("killed")["epoch"] < 14
    assert main([*command, "--ckpt_path=last"]) == 0
    assert_same("whole", "killed")
