"""Values that are refused before anything is built: impossible sizes and folders, files without an end, addresses."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lightning_modules.cli.output_refusals import refuse_unwritable
from lightning_modules.utilities.messages import shortened

#: The largest size or count of anything.
LARGEST = 2**31 - 1
_LARGEST_SEED = 2**63 - 1
#: Sections of a configuration that are the project's own; the Trainer says itself what it takes.
_OTHERS = ("trainer", "seed_everything", "config", "ckpt_path")
#: Arguments of models and data that are sizes, or several of them.
_SECTIONS = ("model.", "data.")
_AT_LEAST_ONE = frozenset(
    (
        *("embedding_dim", "embed_dim", "hidden_features", "bottom_dims", "tower_dims", "bottom_mlp_dims"),
        *("tower_mlp_dims", "batch_size", "eval_batch_size", "num_users", "num_items", "num_interactions", "rank"),
        *("num_sessions", "session_length", "num_categories", "memory_size", "num_experts", "soft_update_freq"),
    )
)
#: What Lightning divides by, or counts up to, and does not look at before.
_COUNTS = ("accumulate_grad_batches", "check_val_every_n_epoch", "num_nodes", "val_check_interval")
_LONGEST_PATH, _LONGEST_SHOWN = 4096, 100
# What a shell puts in place of <(...).
_OF_SHELLS = ("/dev/fd/", "/proc/self/fd/")


def refuse_impossible(config: Mapping[str, Any]) -> None:
    """Refuse integers beyond any memory, sizes and counts below 1, and folders to which nothing can be written.

    This is before anything of that size is allocated, and before anything is read or trained.

    Args:
        config: A verb's configuration.

    Raises:
        ValueError: If there is one; the message names the option.
    """
    for option, value in _integers({name: each for name, each in config.items() if name not in _OTHERS}):
        largest = _LARGEST_SEED if option.endswith("seed") else LARGEST
        if abs(value) > largest:
            shown = str(value) if abs(value) < 10**30 else "a number of over 30 digits"
            raise ValueError(f"--{option} is {shown}, but at most {largest} can be meant")
        if value < 1 and option.startswith(_SECTIONS) and option.rpartition(".")[2] in _AT_LEAST_ONE:
            raise ValueError(f"--{option} is {value}, but a size is at least 1")
    if not isinstance(config.get("trainer", {}), Mapping):
        raise ValueError(f"--trainer is {shortened(str(config['trainer']), 40)}, but holds options of the Trainer")
    for name in _COUNTS:
        count = (config.get("trainer") or {}).get(name)
        if isinstance(count, int) and count < 1:
            raise ValueError(f"--trainer.{name} is {count}, but a count is at least 1")
    refuse_unwritable(config)


def refuse_endless(option: str, value: str) -> None:
    """Refuse a pipe or a device where an option may read a file, since reading it might never end.

    Raises:
        ValueError: If the value names one.
    """
    if not value or len(value) > _LONGEST_PATH or value.startswith(_OF_SHELLS):
        return
    try:
        mode = os.stat(value).st_mode
    except (OSError, ValueError):
        return
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode):
        raise ValueError(f"{option}: '{value}' is a pipe or a device, and no file; name a file")


def refuse_address(path: str | None) -> None:
    """Refuse a checkpoint that lies on another machine.

    Raises:
        ValueError: If the path is an address.
    """
    if path and "://" in path:
        raise ValueError(
            f"--ckpt_path: '{path}' is an address; fetch the checkpoint, and name the file on this machine"
        )


def refuse_other_bytes(arguments: Iterable[str]) -> None:
    """Refuse arguments that are no text in UTF-8, which no file of settings could hold.

    Raises:
        ValueError: If there is one.
    """
    for argument in arguments:
        if any("\ud800" <= letter <= "\udfff" for letter in argument):
            raise ValueError(
                f"{shortened(ascii(argument), _LONGEST_SHOWN)} on the command line is no text in UTF-8; write it so"
            )


def _integers(value: Any, option: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _integers(inner, option if name == "init_args" else f"{option}.{name}".lstrip("."))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _integers(inner, option)
    elif type(value) is int:
        yield option, value
