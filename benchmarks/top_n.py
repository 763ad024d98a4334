"""Top-N losses in the published protocol: every loss tuned on validation, and tested beside the published figure.

    python -m benchmarks.top_n --root data/amazon-health --published health --seeds 3

The protocol is that of IR-Benchmark (Yang et al., KDD 2025, https://arxiv.org/abs/2508.05673): of every user's training
items a tenth, at least one, are validation; 64 dimensions, batches of 1,024, Adam, the best of at most 200 epochs on
validation NDCG@20; the test masks the items of training alone. Larger batches make LightGCN, which propagates over the
graph in every step, as much faster. What is trained is kept in a folder, from which the same command goes on.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.common.commands import settle
from benchmarks.common.report import table, write_report
from benchmarks.published.top_n_figures import PUBLISHED
from datamodules import ImplicitFeedback
from datamodules.implicit.negatives import Negatives, UniformNegatives
from lightning_modules.compare.compared_losses import HAND_MADE, ComparedLoss
from lightning_modules.compare.criteria import MeanOverUsers
from lightning_modules.compare.protocol import EffectivenessTest, Plan
from lightning_modules.compare.records import ComparisonRecords
from lightning_modules.compare.training import MeasuredTraining
from lightning_modules.losses import (
    BSL,
    CCL,
    PSL,
    DirectAU,
    ListwiseLoss,
    SampledBCE,
    SampledBPR,
    SampledSoftmax,
    SampledWARP,
    SLatK,
    Talos,
)
from lightning_modules.recommenders import EASE, IALS, MF, LightGCN, MostPopular
from lightning_modules.training.convergence import ConvergenceTrainer, TrainingSettings
from lightning_modules.training.quiet import quiet_training
from lightning_modules.training.statuses import TRAINED

_METRIC = "ndcg@20"
_MODELS = {"MF": MF, "LightGCN": LightGCN}
_NO_DECAY = (0.0,)
_ALTERNATIONS = 16
_BATCH = 1024
#: Epochs from one validation to the next.
VALIDATE_EVERY = 5


@dataclass(frozen=True)
class Arm:
    """A loss and the grid that it is tuned over.

    Attributes:
        loss: The loss, with the options that are not tuned.
        learning_rates: Learning rates of Adam.
        weight_decays: Its weight decays.
        options: Values of the loss's own options.
        similarity: How the model scores.
        count: Negatives of a row; None for as many as are asked for.
        shared: Whether the rows of a batch share them.
        init_std: Standard deviation of the initial vectors.
        patience: Validations without a better metric before a training ends; there is one every five epochs.
        published: Name of the loss whose published figure stands beside it; None for its own.
    """

    loss: ListwiseLoss
    learning_rates: tuple[float, ...] = (0.01, 0.1)
    weight_decays: tuple[float, ...] = _NO_DECAY
    options: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    similarity: str = "cosine"
    count: int | None = None
    shared: bool = True
    init_std: float = 0.1
    patience: int = 4
    published: str | None = None

    def having(self, fixed: Mapping[str, float]) -> "Arm":
        """Return this arm with one value for some of what it tunes; names that it does not tune are left out."""
        own = {name: (fixed[name],) if name in fixed else values for name, values in self.options.items()}
        rates = (fixed["learning_rate"],) if "learning_rate" in fixed else self.learning_rates
        decays = (fixed["weight_decay"],) if "weight_decay" in fixed else self.weight_decays
        return replace(self, learning_rates=rates, weight_decays=decays, options=own)


_TEMPERATURES, _TEMPERATURES_OF_PSL = {"temperature": (0.1, 0.2, 0.3)}, {"temperature": (0.05, 0.1, 0.15)}
#: Around the settings that are published as the best.
ARMS: Mapping[str, Arm] = {
    # With dot products larger initial vectors are noise, and it goes on learning slowly for long.
    "BPR": Arm(
        SampledBPR(), (1e-3, 1e-2), (1e-5, 1e-4), similarity="dot", count=1, shared=False, init_std=0.03, patience=10
    ),
    "BPR, many negatives": Arm(SampledBPR(), options=_TEMPERATURES),
    "BCE": Arm(SampledBCE(), options=_TEMPERATURES),
    "SL": Arm(SampledSoftmax(), options=_TEMPERATURES),
    "BSL": Arm(BSL(), options={"temperature": (0.1, 0.2), "positive_temperature": (0.1, 0.2)}),
    # As its authors train it: without a weight of its own BSL is SL.
    "BSL, weighted": Arm(
        BSL(positive_temperature=0.2), (0.1,), options={"temperature": (0.2,), "negative_weight": (1.06, 1.15, 1.3)}
    ),
    "PSL-relu": Arm(PSL("relu"), options=_TEMPERATURES_OF_PSL),
    "PSL-tanh": Arm(PSL("tanh"), options=_TEMPERATURES_OF_PSL),
    "PSL-atan": Arm(PSL("atan"), options=_TEMPERATURES_OF_PSL),
    "SL@20": Arm(SLatK(20), options={"temperature": (0.1, 0.2), "weight_temperature": (1.0, 2.25)}),
    "SL@20, weight detached": Arm(
        SLatK(20, detach_weight=True), options={"temperature": (0.1, 0.2), "weight_temperature": (1.0, 2.25)}
    ),
    # With one setting alone, the published or one near it: a step takes four times as long.
    "SL, negatives of every row": Arm(SampledSoftmax(0.2), (0.01,), shared=False, published="SL"),
    "PSL-relu, negatives of every row": Arm(PSL("relu", 0.15), (0.01,), shared=False, published="PSL-relu"),
    "SL@20, negatives of every row": Arm(SLatK(20, 0.2, 2.5), (0.01,), shared=False, published="SL@20"),
    "Talos@20": Arm(Talos(20), options=_TEMPERATURES),
    "CCL": Arm(CCL(), (1e-3, 1e-2), options={"margin": (0.5, 0.8), "weight": (10.0, 100.0)}),
    "WARP-like": Arm(SampledWARP(), options={"temperature": (0.1, 0.2), "margin": (0.5, 1.0)}),
    "DirectAU": Arm(DirectAU(), (1e-3, 1e-2), (1e-6, 1e-5), {"gamma": (0.5, 2.0)}),
}
#: Lines that no loss is needed for, with the values that are tried for each of their options.
LINES: Mapping[str, tuple[Any, Mapping[str, tuple[float, ...]]]] = {
    "MostPopular": (MostPopular, {}),
    "EASE": (EASE, {"l2": (100.0, 200.0, 500.0)}),
    "iALS": (IALS, {"unobserved_weight": (0.03, 0.1, 0.3), "l2": (0.01, 0.02, 0.03, 0.1)}),
}


def main() -> None:
    """Train what is asked for and not there yet, and write the table."""
    options = _options()
    settle()
    rows = [_of_arm(name, options) for name in options.losses]
    rows += [_of_line(name, options) for name in options.lines]
    header = ["loss", "NDCG@20 ± sd", "Recall@20", "published N / R", "ratio", "settings", "epochs", "seconds"]
    name = f"top_n_{options.published}_{options.model.lower()}{_protocol(options)}"
    title = f"Top-N losses on {options.published}, {options.model}"
    write_report(name, title=title, parts=[table(header, rows), _notes(options)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder with train.tsv and test.tsv")
    parser.add_argument("--published", choices=[*PUBLISHED], required=True, help="whose figures stand beside ours")
    parser.add_argument("--model", choices=[*_MODELS], default="MF")
    parser.add_argument("--losses", nargs="*", default=[*ARMS], choices=[*ARMS])
    parser.add_argument("--lines", nargs="*", default=[*LINES], choices=[*LINES])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--split_seed", type=int, default=0, help="seed of the draw of the validation rows")
    parser.add_argument("--negatives", type=int, default=128, help="shared by the rows of a batch")
    parser.add_argument("--batch_size", type=int, default=_BATCH, help="rows of a step")
    parser.add_argument("--epochs", type=int, default=200)
    help_of_fixed = "what is not tuned: learning_rate, weight_decay and the losses' own options"
    parser.add_argument("--fixed", nargs="*", default=[], type=_fixed, metavar="NAME=VALUE", help=help_of_fixed)
    parser.add_argument("--extensions", type=int, default=2, help="how often an end of a grid may be moved outwards")
    parser.add_argument("--refinements", type=int, default=1, help="how often a grid is refined around its best point")
    help_of_patience = "validations without a better metric that end a training, in place of the losses' own"
    parser.add_argument("--patience", type=int, help=help_of_patience)
    parser.add_argument("--work", type=Path, default=Path("runs/top_n"), help="what is trained is kept here")
    return parser.parse_args()


def _fixed(text: str) -> tuple[str, float]:
    name, value = text.split("=")
    return name, float(value)


def _data(options: argparse.Namespace, count: int | None = None, *, shared: bool = True) -> ImplicitFeedback:
    negatives: Negatives = UniformNegatives(count or options.negatives, shared=shared)
    sizes = {"batch_size": options.batch_size, "eval_batch_size": 1024}
    return ImplicitFeedback(options.root, negatives=negatives, split_seed=options.split_seed, **sizes)


def _model(options: argparse.Namespace, data: ImplicitFeedback, arm: Arm) -> MF | LightGCN:
    given = {"similarity": arm.similarity, "init_std": arm.init_std, "cutoffs": [20]}
    return _MODELS[options.model](data.num_users, data.num_items, **given)  # type: ignore[arg-type]


def _of_arm(name: str, options: argparse.Namespace) -> list[str]:
    arm = ARMS[name].having(dict(options.fixed))
    data = _data(options, arm.count, shared=arm.shared)
    recipe = {
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": options.epochs,
        "check_val_every_n_epoch": VALIDATE_EVERY,
    }
    criterion, monitor = MeanOverUsers(_METRIC), f"val/{_METRIC}"
    build = partial(_model, options, data, arm)
    patience = options.patience or arm.patience
    training = MeasuredTraining(build, data, recipe, criterion=criterion, monitor=monitor, patience=patience)
    plan = Plan.of(
        arm.learning_rates,
        arm.weight_decays,
        range(options.seeds),
        1,
        extensions=options.extensions,
        refinements=options.refinements,
        options=arm.options,
    )
    data_and_model = f"{options.published}_{options.model}_{options.negatives}{_protocol(options)}"
    folder = options.work / data_and_model / _file_name(name)
    records = ComparisonRecords(folder, criterion)
    ((_, setting),) = EffectivenessTest(training, plan, records).run([ComparedLoss(arm.loss, name, HAND_MADE)])
    found = records.results
    print(f"{name}: {found[f'test_{_METRIC}'].mean():.4f} with {setting}", flush=True)
    chosen = {"lr": setting.learning_rate, "wd": setting.weight_decay, **dict(setting.options)}
    return _row(name, options, found, chosen, arm.published)


def _protocol(options: argparse.Namespace) -> str:
    """Return what another draw of the validation rows, and batches that are not the published ones, add to names."""
    draw = f"_draw{options.split_seed}" if options.split_seed else ""
    return draw if options.batch_size == _BATCH else f"{draw}_batch{options.batch_size}"


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def _row(
    name: str,
    options: argparse.Namespace,
    found: pd.DataFrame,
    chosen: Mapping[str, float],
    published_name: str | None = None,
) -> list[str]:
    sound = found[found["status"] == TRAINED]
    ndcg, recall = sound[f"test_{_METRIC}"], sound["test_recall@20"]
    published = PUBLISHED[options.published].get(options.model, {}).get(published_name or name)
    spread = f" ± {ndcg.std():.4f}" if len(ndcg) > 1 else ""
    return [
        name,
        f"{ndcg.mean():.4f}{spread}",
        f"{recall.mean():.4f}",
        "-" if published is None else f"{published.ndcg:.4f} / {published.recall:.4f}",
        "-" if published is None else f"{ndcg.mean() / published.ndcg:.3f}",
        ", ".join(f"{name} {value:g}" for name, value in chosen.items()),
        f"{sound['epoch'].mean():.0f}",
        f"{sound['seconds'].mean():.0f}",
    ]


def _of_line(name: str, options: argparse.Namespace) -> list[str]:
    """Return the row of a model without a loss."""
    found, chosen = fitted_line(name, _data(options), options.seeds)
    print(f"{name}: {found[f'test_{_METRIC}'].mean():.4f} with {chosen}", flush=True)
    return _row(name, options, found, chosen)


def fitted_line(name: str, data: ImplicitFeedback, seeds: int) -> tuple[pd.DataFrame, Mapping[str, float]]:
    """Fit a model without a loss for every combination of its options, and the best one on validation with every seed.

    Returns:
        The metrics of each seed, and the best combination.
    """
    model, axes = LINES[name]
    combinations = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    fits = [_fit_line(model, data, combination, 0) for combination in combinations]
    best = max(range(len(fits)), key=lambda place: fits[place][f"val/{_METRIC}"])
    others = [_fit_line(model, data, combinations[best], seed) for seed in range(1, seeds)]
    found = pd.DataFrame([fits[best], *others]).rename(columns=lambda column: column.replace("/", "_"))
    return found.assign(status=TRAINED), combinations[best]


def _fit_line(model: Any, data: ImplicitFeedback, chosen: Mapping[str, float], seed: int) -> dict[str, float]:
    """Return the validation and test metrics of a model in closed form, at its best epoch."""
    begin, settings = time.process_time(), TrainingSettings(patience=2)
    training = ConvergenceTrainer(
        {"accelerator": "cpu", "devices": 1, "max_epochs": _ALTERNATIONS}, f"val/{_METRIC}", "max", settings
    )
    with quiet_training():
        fitted = training.fit(lambda: model(data.num_users, data.num_items, cutoffs=[20], **chosen), data, seed)
        seconds = time.process_time() - begin
        (metrics,) = training.trainer.test(fitted, datamodule=data, verbose=False)
    own = {"epoch": training.best.epoch, "seconds": seconds}
    return {**training.validation_metrics, **metrics, **own}


def _notes(options: argparse.Namespace) -> str:
    fixed = ", ".join(f"{name} {value:g}" for name, value in options.fixed)
    not_tuned = f" What is not tuned is {fixed}." if fixed else ""
    waited = f"{options.patience * VALIDATE_EVERY}" if options.patience else "20 (BPR's after 50)"
    return (
        "N is NDCG@20 and R recall@20 on the test rows, the mean over the training seeds; sd is the standard deviation "
        "over them. The published figures are of SL@K's Table 2 and PSL's Table 1 (IR-Benchmark: 1,000 negatives of "
        f"every row, 200 epochs); ratio is ours to that NDCG. Here a batch of {options.batch_size:,} rows shares "
        f"{options.negatives:,} negatives, but where a row says otherwise and for BPR's one of every row. Every loss "
        "is tuned on validation with one seed, over a grid around the published settings, extended at most "
        f"{options.extensions} times where the best lay at an end, and refined {options.refinements} times.{not_tuned} "
        f"Epochs are those of the best validation, at most {options.epochs}; a training ends after {waited} epochs "
        "without a better one. Seconds are those of a training on the wall, beside other work."
    )


if __name__ == "__main__":
    main()
