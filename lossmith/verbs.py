"""``search``, ``compare`` and ``check``: what the verbs of these names do, for Python."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lightning_modules.check.command import run_check
from lightning_modules.check.settings import CheckSettings
from lightning_modules.cli.option_values import OfText, as_loss
from lightning_modules.compare.report import ComparisonReport
from lightning_modules.losses import LossObject
from lightning_modules.search.events import Candidate, RoundSummary, SearchObserver
from lightning_modules.search.study import Study
from lightning_modules.utilities.serialization import is_folder
from lossmith.session import Data, Model, Request, options_of, trainer_of
from lossmith.study import SearchStudy

OnTrial = Callable[[Candidate], object]
OnRound = Callable[[RoundSummary], object]

_FINALISTS = 10


class Callbacks(SearchObserver):
    """Calls functions of a program when something of a search is known.

    Args:
        on_trial: Given every trained candidate.
        on_round: Given every finished round.
    """

    def __init__(self, on_trial: OnTrial | None, on_round: OnRound | None) -> None:
        self._on_trial, self._on_round = on_trial, on_round

    def on_candidate(self, candidate: Candidate) -> None:
        """Pass the candidate on."""
        if self._on_trial is not None:
            self._on_trial(candidate)

    def on_round(self, summary: RoundSummary) -> None:
        """Pass the round on."""
        if self._on_round is not None:
            self._on_round(summary)


def search(
    model: Model | None = None,
    data: Data | None = None,
    *,
    rounds: int | None = None,
    time_budget: str | float | None = None,
    patience: int | None = None,
    root: str | Path = "runs/search",
    finalists: int | None = None,
    columns: Mapping[str, str] | None = None,
    config: str | Path | None = None,
    trainer: Mapping[str, Any] | None = None,
    seed: int | None = None,
    on_trial: OnTrial | None = None,
    on_round: OnRound | None = None,
    logger: Any = None,
    **options: Any,
) -> SearchStudy:
    """Search for a loss, as ``train.py search`` does, and return the study; one in the folder is continued.

    A model is built anew with the seed, from its class and its saved hyper-parameters, so that the command line finds
    the same with ``--config ROOT/config.yaml``. One that no configuration can name is used as it is; the log says so.

    Args:
        model: A model of the project, its class or its name; or any Lightning module with an attribute ``loss``, given
            to :func:`adapt` unless it says itself what it ``gives``.
        data: A table of pandas or Arrow, which is written to ``ROOT/data.parquet``; or any Lightning data module.
        rounds: Rounds of the search.
        time_budget: Time after which no further round begins, such as ``10m`` or a number of seconds.
        patience: Rounds without a better formula that end the search.
        root: The study's folder.
        finalists: Best formulas to train to convergence, of which one may become the answer; 0 for none. By default the
            configuration's number, or 10 without a configuration.
        columns: The columns of a table by their meaning, ``{"user": ..., "item": ..., "label": ...}``; by default
            ``uid``, ``iid`` and ``label``.
        config: A configuration file for what is not given here, such as ``search/quickstart.yaml``.
        trainer: Arguments of every trial's Trainer, such as ``{"max_epochs": 5}``.
        seed: Seed of the search.
        on_trial: Called with every trained candidate.
        on_round: Called with every finished round.
        logger: One of Lightning's loggers, or several, for the curves of the search; TensorBoard's are always written.
        options: Further options of ``train.py search``, such as ``strategy="RandomSearch"``.

    Raises:
        OSError: If the folder cannot be written.
        ValueError: If an option, the model or the data cannot be used, or the folder holds a study of others.

    Examples:
        >>> import lossmith
        >>> from datamodules import SyntheticInteractions
        >>> data = SyntheticInteractions(num_users=40, num_items=30, num_interactions=800)
        >>> study = lossmith.search("BiasedMF", data, rounds=1, candidates=2, finalists=0, root="runs/example")
        >>> study.num_candidates
        2
    """
    section, loggers = trainer_of(trainer, logger)
    own = options_of(
        options,
        root=str(root),
        rounds=rounds,
        time_budget=time_budget,
        patience=patience,
        finalists=_FINALISTS if finalists is None and config is None else finalists,
    )
    request = _request("search", root, own, section, seed)
    request.handed.loggers = loggers
    if on_trial or on_round:
        request.handed.observers = (Callbacks(on_trial, on_round),)
    request.add_model(model)
    request.add_data(data, columns, model, config)
    request.run(config)
    return SearchStudy.read(root)


def compare(
    model: Model | None = None,
    data: Data | None = None,
    losses: Sequence[LossObject | str | None] | None = None,
    *,
    study: Study | str | Path | Sequence[Study | str | Path] | None = None,
    random_study: Study | str | Path | Sequence[Study | str | Path] | None = None,
    seeds: int | None = None,
    root: str | Path = "runs/compare",
    columns: Mapping[str, str] | None = None,
    config: str | Path | None = None,
    trainer: Mapping[str, Any] | None = None,
    seed: int | None = None,
    **options: Any,
) -> ComparisonReport:
    """Compare losses with the baseline, all tuned and trained to convergence, as ``train.py compare`` does.

    Args:
        model: As for :func:`search`, with its hyper-parameters saved; its ``predict_step`` scores the rows of a batch.
        data: As for :func:`search`.
        losses: Losses, their names, formulas, or ``RUN#answer``; ``None`` among them is left out. By default all that
            suit the model are compared. Formulas are computed with ``numerics``, or those of the study.
        study: A study to audit: its answer and best formulas are compared too, and model and data may be left out. Of
            several, the audit counts the spread between searches.
        random_study: A study of RandomSearch, or several, to audit the search against.
        seeds: Trainings of each loss.
        root: Folder of the comparison.
        columns: As for :func:`search`.
        config: As for :func:`search`.
        trainer: Arguments of every Trainer.
        seed: Seed of the first training.
        options: Further options of ``train.py compare``.

    Raises:
        OSError: If the folder cannot be written.
        RuntimeError: If the baseline cannot be trained.
        ValueError: If an option, loss, study, the model or the data cannot be used.

    Examples:
        >>> import lossmith
        >>> from datamodules import SyntheticInteractions
        >>> data = SyntheticInteractions(num_users=40, num_items=30, num_interactions=800)
        >>> result = lossmith.compare("BiasedMF", data, ["MSE", "abs(label - pred)"], seeds=2)
        >>> result.table()["loss"].tolist()
        ['BCE', 'MSE', 'abs(label - pred)']
    """
    section, _ = trainer_of(trainer, None)
    own = options_of(options, root=str(root), seeds=seeds)
    request = _request("compare", root, own, section, seed)
    request.arguments = _named_studies(options, study=study, random_study=random_study)
    if losses is not None:
        of_text = request.of_text(config)
        own["losses"] = [_as_option(loss, of_text) for loss in losses if loss is not None]
    request.add_model(model)
    request.add_data(data, columns, model, config)
    report: ComparisonReport = request.run(config)
    return report


def check(
    losses: Study | str | Path | LossObject | Sequence[str | LossObject],
    *,
    root: str | Path | None = None,
    seed: int = 42,
    **options: Any,
) -> pd.DataFrame:
    """Check losses without training, as ``train.py check`` does, and return a row for each.

    Args:
        losses: A study or its folder; or a formula, a loss, or several of these.
        root: Folder for ``check.csv``; by default that of the study, or else ``runs/check``.
        seed: Seed of the predictions at which signs are counted.
        options: Further options of ``train.py check``, such as ``points=100``.

    Raises:
        OSError: If the folder cannot be written.
        ValueError: If a formula or an option cannot be used.

    Examples:
        >>> import lossmith
        >>> lossmith.check(["(label - pred)**2", "pred"], points=100)["keep"].tolist()
        [True, False]
    """
    given: dict[str, Any] = {**options, "root": None if root is None else str(root)}
    if isinstance(losses, Study):
        given["run"] = str(losses.root)
    elif isinstance(losses, str | Path) and is_folder(losses):
        given["run"] = str(losses)
    else:
        several = [losses] if isinstance(losses, str | Path | LossObject) else [*losses]
        given["formulas"] = [str(each) for each in several if not isinstance(each, LossObject)]
        given["losses"] = [each for each in several if isinstance(each, LossObject)]
    return run_check(CheckSettings(**given), seed)


def _request(
    verb: str, root: str | Path, own: dict[str, Any], sections: Mapping[str, Any], seed: int | None
) -> Request:
    seeded = {} if seed is None else {"seed_everything": seed}
    return Request(verb, Path(root), {**seeded, **sections, verb: own})


def _named_studies(options: Mapping[str, Any], **named: Any) -> tuple[str, ...]:
    """Return what the command line reads of studies before configurations are parsed."""
    arguments = []
    for name, given in options_of({}, **named).items():
        studies = [given] if isinstance(given, Study | str | Path) else given
        roots = [str(each.root if isinstance(each, Study) else each) for each in studies]
        arguments.append(f"--compare.{name}={json.dumps(roots)}")
    return (*arguments, *(["--compare.trust_study=true"] if options.get("trust_study") else []))


def _as_option(loss: LossObject | str, of_text: OfText) -> Any:
    if not isinstance(loss, str):
        return loss
    spelled = as_loss(loss, of_text)
    return json.loads(spelled) if spelled.startswith("{") else spelled
