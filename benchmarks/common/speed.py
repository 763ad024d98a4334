"""Options, data, Trainer and profile of the benchmarks that train on KuaiRand-Pure beside published code."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import nn
from torch.profiler import ProfilerActivity

from datamodules import ImpressionsDataModule, KuaiRand, SyntheticImpressions
from lightning_modules.training.quick_steps import with_quick_steps

KUAIRAND_SIZES = (23042, 10, 10, 8, 9, 8, 1388, 109, 440, 5877, 5274, 13, 5605, 107, 16, 25)


def speed_parser(description: str | None, *, repeats: int) -> argparse.ArgumentParser:
    """Return a parser of their common options."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--root", type=Path, help="folder of KuaiRand-Pure")
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def kuairand(root: Path | None) -> ImpressionsDataModule:
    """Return KuaiRand-Pure, or where it is not there about as many rows with about as many categories; set up."""
    sizes = tuple(size - 1 for size in KUAIRAND_SIZES)
    synthetic = SyntheticImpressions(num_sessions=82_000, session_length=2, num_categories=sizes)
    data = KuaiRand(str(root)) if root else synthetic
    data.setup()
    return data


def count(module: nn.Module) -> int:
    """Return the number of a module's parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def quiet_trainer(max_steps: int = -1) -> pl.Trainer:
    """Return a Trainer of one epoch on the CPU, or fewer steps, that shows and keeps nothing."""
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_steps=max_steps,
    )
    return with_quick_steps(trainer)


def operators(run: Callable[[], object], steps: int) -> tuple[float, list[list[str]]]:
    """Return the milliseconds a step, and the ten operators that take most time: name, calls a step, share of time."""
    with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as profiler:
        run()
    found = sorted(profiler.key_averages(), key=lambda each: -each.self_cpu_time_total)
    total = sum(each.self_cpu_time_total for each in found)
    rows = [
        [f"`{each.key}`", f"{each.count / steps:.1f}", f"{each.self_cpu_time_total / total:.1%}"] for each in found[:10]
    ]
    return 1e-3 * total / steps, rows
