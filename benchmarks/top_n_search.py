"""What is a search for a listwise loss worth? Searches of one data set, and their answers trained beside known losses.

Every arm has as many trainings: PPO, evolution and random search, which may begin with the known losses (+known), and
SL@20, whose learning rate and temperatures alone are tried as often and as long. Strategies are compared by what their
searches' finalists have on validation more than the tuned sampled softmax. The best of all are tuned alike and tested
beside known losses and closed-form models, and the best one is tried on other data:

    python -m benchmarks.top_n_search data/amazon-electronic --others '[data/amazon-health, data/gowalla]'

What a search found is its finalist that is best on validation, be it an answer or not. What is in the working folder is
not trained again, so that the same command goes on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from jsonargparse import auto_cli

from benchmarks.common.report import table, write_report
from benchmarks.common.search_answers import finished_rows, run, search, shown_seconds
from benchmarks.common.strategy_differences import strategy_differences
from benchmarks.top_n import LINES, VALIDATE_EVERY, fitted_line
from datamodules import ImplicitFeedback
from lightning_modules.search.study import Study

METRIC = "ndcg@20"
TEST, VALIDATION = f"test_{METRIC}", f"val_{METRIC}"
SEARCH = ["--config", "configs/search/top_n_published.yaml"]
COMPARE = [
    *("compare", "--config", "configs/compare/top_n.yaml", "--data", "ImplicitFeedback"),
    *("--data.batch_size", "1024", "--data.eval_batch_size", "1024", "--model.embedding_dim", "64"),
    # Known losses are compared as published, on torch's own optimizer.
    *("--model.optimizer", "Adam", "--model.optimizer.lr", "1e-2", "--model.optimizer.fused", "true"),
]
#: Trainings of a candidate: the temperatures of the search's file.
SETTINGS = 3
RATES = [0.03, 0.1]
#: Validations without a better metric that end a training of a comparison.
PATIENCE = 4
KNOWN = ["SampledBPR", "PSL", "SLatK", "Talos"]
#: BSL with a weight of its negatives.
WEIGHTED_BSL = "logmeanexp(gap_t) + pos"
SEARCHED = [
    *("strategy", "begins with known losses", "seed", "found", "operators", "temperature", "reward"),
    *("validation over sampled softmax (se)", "is an answer", "processor seconds"),
]
OVER_BASELINE = ["test", "over sampled softmax", "95 % interval", "p"]


@dataclass(frozen=True)
class Sizes:
    """How much is trained.

    Attributes:
        rounds: Rounds of a search.
        candidates: Candidates of a round.
        finalists: Finalists of a search.
        epochs: The most epochs of a candidate.
        finalist_epochs: The most epochs of a finalist.
        most_epochs: The most epochs of a training in comparisons, which ends after 20 without a better metric.
        training_seeds: Trainings of every loss in comparisons.
        trials: Settings that are tried for every loss in comparisons, the same number for all.
        negatives: Negatives of a row, shared by the batch, in comparisons.
        search_negatives: Those in a search.
        search_dim: Size of the vectors in a search.
    """

    rounds: int = 15
    candidates: int = 10
    finalists: int = 10
    epochs: int = 10
    finalist_epochs: int = 60
    most_epochs: int = 150
    training_seeds: int = 8
    trials: int = 12
    negatives: int = 128
    search_negatives: int = 128
    search_dim: int = 64

    @property
    def trainings(self) -> int:
        """Trainings of a search."""
        return self.rounds * self.candidates * SETTINGS

    @property
    def of_search(self) -> list[str]:
        """The options of a search."""
        names = ("rounds", "candidates", "finalists", "finalist_epochs")
        budget = [text for name in names for text in (f"--search.{name}", str(getattr(self, name)))]
        model = ["--model.embedding_dim", str(self.search_dim)]
        return [*drawing(self.search_negatives), *model, *budget, "--trainer.max_epochs", str(self.epochs)]

    @property
    def of_comparison(self) -> list[str]:
        """The options of a comparison, but for its grid and the number of settings to try."""
        trainer = [f"--trainer.max_epochs={self.most_epochs}", f"--trainer.check_val_every_n_epoch={VALIDATE_EVERY}"]
        compare = ["--compare.patience", str(PATIENCE), "--seeds", str(self.training_seeds)]
        return [*drawing(self.negatives), *trainer, *compare]


_SIZES = Sizes()
_ARMS = {"PPO": 5, "RandomSearch": 5, "RegularizedEvolution": 3, "PPO+known": 3, "RegularizedEvolution+known": 3}


def main(
    root: str,
    others: Sequence[str] = (),
    arms: Mapping[str, int] = _ARMS,
    alone: int = 3,
    tested: int = 3,
    sizes: Sizes = _SIZES,
    work: str = "runs/top_n_search",
) -> None:
    """Run what is missing and write the report.

    Args:
        root: Folder of the data.
        others: Folders of other data, on which the best formula is tried.
        arms: Searches of every strategy, with the seeds 1, 2 and so on; +known after its name begins with known losses.
        alone: Searches of the settings of SL@20, with these seeds.
        tested: Formulas that are tested, the best on validation; with 0 the report ends with the searches.
        sizes: How much is trained.
        work: Folder of searches and comparisons.
    """
    folder = Path(work).resolve() / Path(root).name
    keys = [key for name, searches in arms.items() for key in keys_of(name, searches)]
    rows = finished_rows(folder / "searches.csv", keys, partial(searching, folder, root, sizes))
    found = pd.DataFrame([row | found_by(study_of(folder, row)) for row in rows])
    best = found.sort_values("validated", ascending=False).drop_duplicates("formula").head(tested)
    parts = [
        f"MF; {sizes.search_dim} dimensions and {sizes.search_negatives} negatives in searches, 64 and "
        f"{sizes.negatives} in comparisons. A search trains {sizes.rounds * sizes.candidates} candidates with "
        f"{SETTINGS} temperatures, where they have one, for at most {sizes.epochs} epochs, and {sizes.finalists} "
        f"finalists for at most {sizes.finalist_epochs}. Metrics are NDCG@20; rewards and validation are over the "
        "sampled softmax, which each search tunes like its candidates.",
        table(SEARCHED, [searched(row) for row in found.to_dict("records")]),
        "On validation over the sampled softmax, the best finalist of every search:",
        strategy_differences(named_strategies(found), "validated", paired=False),
        *(test_report(folder, root, others, best, sizes) if tested else []),
        *alone_report(folder, root, alone, sizes),
    ]
    write_report(f"top_n_search_{folder.name}", title=f"Searches for a listwise loss on {folder.name}", parts=parts)


def drawing(negatives: int) -> list[str]:
    """Return the options of the data that draw so many negatives."""
    return ["--data.negatives", "UniformNegatives", "--data.negatives.count", str(negatives)]


def keys_of(arm: str, searches: int) -> list[dict[str, Any]]:
    """Return strategy, first formulas and seed of every search of an arm."""
    strategy, _, known = arm.partition("+")
    return [{"strategy": strategy, "seeded": known == "known", "seed": seed} for seed in range(1, searches + 1)]


def searching(folder: Path, root: str, sizes: Sizes, key: Mapping[str, Any]) -> dict[str, Any]:
    """Search with a strategy and seed, and return the processor seconds of it."""
    own = ["--search.strategy", key["strategy"], "--seed_everything", str(key["seed"])]
    first = ["--search.seeds", "[known]"] if key["seeded"] else []
    options = [*SEARCH, *own, *first, *data_of(root), *sizes.of_search]
    return {"seconds": search(study_of(folder, key), options)}


def measured_losses(folder: Path, root: str, formulas: Iterable[str], sizes: Sizes) -> pd.DataFrame:
    """Compare the known losses, and formulas of the searches, and return the figures by the name of the loss."""
    parts = {
        "compare_known": ["--formulas", WEIGHTED_BSL, "--losses", f"[{', '.join(KNOWN)}]"],
        "compare": ["--formulas", *formulas, "--losses", "[]"],
    }
    options = [*sizes.of_comparison, "--trials", str(sizes.trials), *grid(RATES)]
    tables = (compared(folder / name, root, [*losses, *options]) for name, losses in parts.items())
    measured = pd.concat(tables)
    # Both have the sampled softmax, trained alike.
    return measured[~measured.index.duplicated()]


def test_report(folder: Path, root: str, others: Sequence[str], best: pd.DataFrame, sizes: Sizes) -> list[str]:
    """Return the parts on the best formulas beside known losses, and on the very best with other data."""
    measured = measured_losses(folder, root, best["reference"], sizes)
    lines = [[name, line_of(name, root, sizes.training_seeds), "-", "-", "-"] for name in LINES]
    return [
        f"On the test rows: every loss is trained with {sizes.trials} settings for at most {sizes.most_epochs} epochs, "
        f"and tested with {sizes.training_seeds} seeds.",
        table(["loss", *OVER_BASELINE], [*tested_rows(best, measured), *known(measured), *lines]),
        *transfer_report(folder, others, best.iloc[0], measured, sizes),
    ]


def transfer_report(
    folder: Path, others: Sequence[str], best: Mapping[str, Any], measured: pd.DataFrame, sizes: Sizes
) -> list[str]:
    """Return the parts on a formula, trained on other data; none without these."""
    if not others:
        return []
    rate = float(measured.loc[best["formula"], "learning_rate"])
    rows = [row for other in others for row in transferred(folder, other, best, rate, sizes)]
    return [
        f"`{best['title']}`, the best on validation, on other data, over sampled softmax tuned alike:",
        table(["data", "tuned anew", *OVER_BASELINE], rows),
    ]


def data_of(root: str) -> list[str]:
    """Return the option of a folder of data."""
    return ["--data.root", str(Path(root).resolve())]


def study_of(folder: Path, key: Mapping[str, Any]) -> Path:
    """Return the folder of a search."""
    return folder / f"{key['strategy']}_{'known' if key['seeded'] else 'nothing'}_{key['seed']}"


def found_by(root: Path) -> dict[str, Any]:
    """Return the finalist of a search that is best on validation."""
    study = Study.read(root)
    row = study.candidates.sort_values("validated", ascending=False, kind="stable").iloc[0]
    loss = study.loss(int(row["rank"]))
    names = ("operators", "reward", "validated", "validated_se", "validated_temperature", "is_answer")
    named = {"formula": loss.identity, "title": loss.title, "reference": f"{root}#{row['rank']}"}
    return named | {name: row[name] for name in names}


def grid(rates: Sequence[float], **options: Sequence[float]) -> list[str]:
    """Return the options of a grid of learning rates, temperatures and other options of losses."""
    axes = {"temperature": [0.1, 0.2], **options}
    of_losses = ", ".join(f"loss.{name}: {list(values)}" for name, values in axes.items())
    return ["--compare.learning_rates", str(list(rates)), "--compare.grid", f"{{{of_losses}}}"]


def compared(root: Path, data: str, options: Sequence[str]) -> pd.DataFrame:
    """Compare losses with the tuned sampled softmax and return the figures by the name of the loss."""
    run([*COMPARE, *data_of(data), "--compare.root", str(root), *options])
    return pd.read_csv(root / "summary.csv").set_index("loss")


def alone_report(folder: Path, root: str, searches: int, sizes: Sizes) -> list[str]:
    """Return the parts on searches of the settings of SL@20; none without these."""
    if not searches:
        return []
    rows = [tuned_alone(folder / f"slatk_{seed}", root, sizes, seed) for seed in range(1, searches + 1)]
    return [
        f"SL@20 with the best on validation of {sizes.trainings} settings of its learning rate and temperatures, each "
        f"tried for {sizes.epochs} epochs:",
        table(["seed", "validation", "test", "settings"], rows),
    ]


def tuned_alone(root: Path, data: str, sizes: Sizes, seed: int) -> list[str]:
    """Tune the options of SL@20 alone, as often and as long as a search trains, then train it with the best of them."""
    own = ["--seed_everything", str(1000 * seed), "--compare.baseline", "SLatK", "--losses", "[]"]
    first = [*own, *sizes.of_comparison]
    short = [f"--trainer.max_epochs={sizes.epochs}", "--trainer.check_val_every_n_epoch=2"]
    short += ["--seeds", "1", "--trials", str(sizes.trainings)]
    tried = compared(root / "tried", data, [*first, *short, *grid(RATES, weight_temperature=[1.0, 2.25])]).iloc[0]
    best = {name: [tried[name]] for name in ("temperature", "weight_temperature")}
    row = compared(root / "trained", data, [*first, "--trials", "1", *grid([tried["learning_rate"]], **best)]).iloc[0]
    chosen = ", ".join(f"{name} {row[name]:g}" for name in ("learning_rate", *best))
    return [str(seed), f"{row[VALIDATION]:.4f}", f"{row[TEST]:.4f}", chosen]


def transferred(folder: Path, data: str, best: Mapping[str, Any], rate: float, sizes: Sizes) -> list[list[str]]:
    """Return the rows of a formula on other data, with its temperature tuned anew, and with all settings."""
    name, options = Path(data).name, [*sizes.of_comparison, "--trials", str(sizes.trials)]
    ways = {"temperature": grid([rate]), "all": grid(RATES)}
    rows = []
    for way, axes in ways.items():
        given = ["--formulas", best["reference"], "--losses", "[]", *options, *axes]
        row = compared(folder / f"{name}_{way}", data, given).loc[best["formula"]]
        rows.append([name, way, *over_baseline(row)])
    return rows


def line_of(name: str, root: str, seeds: int) -> str:
    """Return the test metric of a model that takes no loss."""
    data = ImplicitFeedback(root, batch_size=1024, eval_batch_size=1024)
    return f"{fitted_line(name, data, seeds)[0][TEST].mean():.4f}"


def searched(row: Mapping[str, Any]) -> list[str]:
    """Return a search's row of the table."""
    arm = [row["strategy"], "yes" if row["seeded"] else "no", str(row["seed"])]
    temperature = "-" if pd.isna(row["validated_temperature"]) else f"{row['validated_temperature']:g}"
    formula = [f"`{row['title']}`", f"{row['operators']:.0f}", temperature]
    gained = [f"{row['reward']:+.4f}", f"{row['validated']:+.4f} ({row['validated_se']:.4f})"]
    return [*arm, *formula, *gained, "yes" if row["is_answer"] else "no", shown_seconds(row["seconds"])]


def named_strategies(found: pd.DataFrame) -> pd.DataFrame:
    """Return the searches with their first formulas in the name of the strategy."""
    seeded = found["seeded"].map({True: ", known losses first", False: ""})
    return found.assign(strategy=found["strategy"] + seeded)


def tested_rows(best: pd.DataFrame, measured: pd.DataFrame) -> list[list[str]]:
    """Return the rows of the formulas that were tested."""
    pairs = zip(best["title"], best["formula"], strict=True)
    return [[f"`{title}`", *over_baseline(measured.loc[formula])] for title, formula in pairs]


def over_baseline(row: Mapping[str, Any]) -> list[str]:
    """Return the cells of a loss's test metric, and of its difference to the sampled softmax."""
    interval = f"{row['low']:+.4f} to {row['high']:+.4f}"
    return [f"{row[TEST]:.4f}", f"{row['difference']:+.4f}", interval, f"{row['p_value']:.3f}"]


def known(measured: pd.DataFrame) -> list[list[str]]:
    """Return the rows of the known losses, the sampled softmax first."""
    rows = measured[(measured["group"] == "hand-made") | (measured.index == WEIGHTED_BSL)]
    baseline, *others = rows.itertuples()
    first = [baseline.Index, f"{rows.iloc[0][TEST]:.4f}", "-", "-", "-"]
    return [first, *([other.Index, *over_baseline(rows.loc[other.Index])] for other in others)]


if __name__ == "__main__":
    auto_cli(main)
