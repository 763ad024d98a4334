"""Every option with values that it cannot mean."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, get_args, get_origin, get_type_hints

from benchmarks.hostile.base import AGENT, COMMANDS, IMPRESSIONS, INTERACTIONS, QUIET, SESSIONS, TRAINER
from benchmarks.hostile.running import HostileInput
from lightning_modules.cli.subcommands import OWN_VERBS

_HUGE = str(10**15)
_ANY = (0, 1, 2)
#: By the type that an option has.
_VALUES = {
    int: (_HUGE, "-1", "0", "1e400", "many"),
    float: ("nan", "inf", "-1", _HUGE, "much"),
    bool: ("perhaps",),
    str: ("", "a\nb"),
    list: ("[", "{a: 1}", "3", "nan"),
}
#: Options whose messages speak of a formula, a metric or a class.
_NAMED_OTHERWISE = ("references", "baseline", "losses", "monitor", "numerics", "strategy", "space")
#: Options that the list's other parts are about, and those that would ask for another machine.
_LEFT_OUT = ("ray_address", "run", "formulas", "file", "study", "random_study", "output", "critics", "root")

_SIZES = {
    "fit": {
        "BiasedMF": ("embedding_dim", "init_std", "num_users", "num_items", "optimizer", "loss"),
        "DeepMF": ("embedding_dim", "hidden_features", "dropout"),
        "RankNet": ("embedding_dim",),
    },
}
_SIZE_VALUES = (_HUGE, "0", "-3", "[0]", f"[{_HUGE}]", "[-1]", "nan", "text")
_DATA_VALUES = (_HUGE, "0", "-3", "nan", "text")
_INTERACTIONS = ("num_users", "num_items", "num_interactions", "rank", "scale", "batch_size", "eval_batch_size", "seed")
_IMPRESSIONS = ("num_sessions", "session_length", "num_categories", "num_features", "batch_size", "eval_batch_size")
_LAYERS = ("embedding_dim", "bottom_dims", "tower_dims", "dropout", "batch_norm", "weighting", "loss")
_MIXTURES = {"MMoE": ("num_experts",), "PLE": ("specific_experts", "shared_experts", "levels"), "MetaHeac": ()}
_AGENT_NUMBERS = ("gamma", "embed_dim", "memory_size", "batch_size", "tau", "soft_update_freq", "bottom_mlp_dims")
_TRAINER = {
    "accelerator": ("tpu", "gpu", "abacus", "7", "null", "[cpu]"),
    "devices": ("0", "-5", _HUGE, "some", "[0,0]", "1.5"),
    "strategy": ("none", "ddp_nonsense", "7", "{a: 1}"),
    "num_nodes": ("0", "-1", "x"),
    "precision": ("7", "many", "16-nonsense"),
    "max_epochs": ("-5", "0", "1.5", "x", "nan"),
    "max_steps": ("-7", "x"),
    "max_time": ("soon", "99:99", "-1", "{days: x}", "00:00:00:00"),
    "limit_train_batches": ("-1", "2.5", "nan", "x"),
    "limit_val_batches": ("-1", "nan"),
    "val_check_interval": ("-1", "0", "nan", _HUGE),
    "check_val_every_n_epoch": ("0", "-1", _HUGE),
    "log_every_n_steps": ("-1", "x"),
    "accumulate_grad_batches": ("0", "-1", "x"),
    "gradient_clip_val": ("nan", "-1", "x", "inf"),
    "gradient_clip_algorithm": ("x",),
    "profiler": ("x", "7"),
    "callbacks": ("x", "7", "[7]", "[null]", "{class_path: os.system}", "[{class_path: EarlyStopping}]", "[[]]"),
    "logger": ("x", "7", "[7]", "{class_path: subprocess.Popen, init_args: {args: [touch, ran]}}"),
    "plugins": ("x", "[x]", "7"),
    "fast_dev_run": ("-1", "x"),
    "default_root_dir": ("", "s3://nowhere/at/all", "/proc/none"),
    "reload_dataloaders_every_n_epochs": ("-1",),
    "num_sanity_val_steps": ("-7",),
    "inference_mode": ("x",),
    "detect_anomaly": ("x",),
    "benchmark": ("x",),
}
_ROOTS = ("", "a_file", "/proc/none/x", "x" * 5000)


def inputs() -> Iterator[HostileInput]:
    """Yield the command lines."""
    yield from _own_options()
    yield from _roots()
    yield from _model_sizes()
    yield from _data_sizes()
    yield from _trainer_options()


def _own_options() -> Iterator[HostileInput]:
    """Yield every option of the project's own verbs with every value of its type."""
    for verb, own in OWN_VERBS.items():
        hints = get_type_hints(own.settings)
        for name in (field.name for field in fields(own.settings) if field.name not in _LEFT_OUT):
            for value in _values(hints[name]):
                says = "" if name in _NAMED_OTHERWISE else name
                yield _with("a verb's option", COMMANDS[verb], f"--{name}={value}", says)


def _values(hint: Any) -> tuple[str, ...]:
    # list[str] | None and the like: the first kind counts.
    kinds = [get_origin(each) or each for each in (hint, *get_args(hint))]
    return next((values for kind in kinds for known, values in _VALUES.items() if kind is known), ("x", "7", "[]"))


def _roots() -> Iterator[HostileInput]:
    for verb in ("search", "compare", "polish", "check"):
        for value in _ROOTS:
            yield _to_write("a folder to write", COMMANDS[verb], f"--root={value}")
    for verb, option in (("export", "--output"), ("predict", "--predict.output")):
        for value in (*_ROOTS, "no/such/folder/file", "."):
            yield _to_write("a file to write", COMMANDS[verb], f"{option}={value}")


def _to_write(kind: str, command: tuple[str, ...], option: str) -> HostileInput:
    prepare = (lambda folder: (folder / "a_file").write_text("x"),)
    return HostileInput(kind, option[:60], (*command, option), prepare, statuses=_ANY)


def _model_sizes() -> Iterator[HostileInput]:
    for model, names in _SIZES["fit"].items():
        command = ("fit", f"--model={model}", *INTERACTIONS[2:], *TRAINER, *QUIET)
        yield from _each("a model's size", command, "model", names, _SIZE_VALUES)
    command = ("fit", *IMPRESSIONS, *TRAINER, *QUIET)
    yield from _each("a model's size", command, "model", _LAYERS, _SIZE_VALUES)
    for model, names in _MIXTURES.items():
        yield from _each("a model's size", (*command, f"--model={model}"), "model", names, _DATA_VALUES)
    agent = ("fit", "--model=DDPG", f"--model.actor={{base}}/{AGENT}".replace(AGENT, "several_tasks.ckpt"))
    command = (*agent, *SESSIONS, *TRAINER, *QUIET)
    yield from _each("an agent's number", command, "model", _AGENT_NUMBERS, _DATA_VALUES)


def _data_sizes() -> Iterator[HostileInput]:
    for verb in ("fit", "search"):
        yield from _each("data's size", COMMANDS[verb], "data", _INTERACTIONS, _DATA_VALUES)
    ratios = ("[0,0,0]", "[1,1]", "[nan,0.5,0.5]", "[-1,1,1]", "0.5", "[a,b,c]")
    yield from _each("data's size", COMMANDS["predict"], "data", ("ratios",), ratios)
    yield from _each("data's size", COMMANDS["polish"], "data", _IMPRESSIONS, _DATA_VALUES)


def _trainer_options() -> Iterator[HostileInput]:
    for name, values in _TRAINER.items():
        yield from _each("the trainer", COMMANDS["fit"], "trainer", (name,), values, says="")
    for verb in ("validate", "predict", "search", "compare", "polish"):
        for name in ("accelerator", "devices", "callbacks", "precision"):
            yield from _each("the trainer", COMMANDS[verb], "trainer", (name,), _TRAINER[name][:3], says="")


def _each(
    kind: str,
    command: tuple[str, ...],
    section: str,
    names: tuple[str, ...],
    values: tuple[str, ...],
    says: str | None = None,
) -> Iterator[HostileInput]:
    for name in names:
        for value in values:
            yield _with(kind, command, f"--{section}.{name}={value}", name if says is None else says)


def _with(kind: str, command: tuple[str, ...], option: str, says: str) -> HostileInput:
    return HostileInput(kind, option, (*command, option), statuses=_ANY, says=says)
