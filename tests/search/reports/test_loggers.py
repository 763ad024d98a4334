"""Lightning's loggers are given the curves that TensorBoard shows."""

from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from lightning_modules.search.answer import ValidatedFormula, Validation
from lightning_modules.search.events import SearchProgress
from lightning_modules.search.reports.loggers import SearchLoggers, named_loggers
from tests.search.observer_helpers import reference, round_summary
from tests.search.search_helpers import full_space


class Noting(Logger):
    def __init__(self) -> None:
        super().__init__()
        self.noted: list[tuple[int | None, dict[str, float]]] = []
        self.status = ""

    @property
    def name(self) -> str:
        return "noting"

    @property
    def version(self) -> int:
        return 0

    def log_hyperparams(self, *arguments: Any, **options: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.noted.append((step, dict(metrics)))

    def finalize(self, status: str) -> None:
        self.status = status


def test_every_logger_gets_every_round_and_the_best_validated_difference() -> None:
    space, loggers = full_space(4), [Noting(), Noting()]
    observer = SearchLoggers(loggers, space)
    observer.on_resume(SearchProgress(0, 1, (reference("MSE", 0.1),)))
    observer.on_round(round_summary(2, space))
    formulas = [ValidatedFormula("pred", 0.01, 0.1), ValidatedFormula("-pred", None, None)]
    observer.on_validation(Validation(2, "BCE", 0.7, tuple(formulas)))
    observer.on_end()
    for logger in loggers:
        (step, scalars), (last, validated) = logger.noted
        assert (step, last) == (2, 2)
        assert scalars["reward/best_so_far"] == scalars["reward/best"] == 0.02
        assert scalars["reward/above_baseline"] == 0.5
        assert (scalars["reference/MSE"], scalars["policy/entropy"]) == (0.1, 1.5)
        assert abs(sum(value for name, value in scalars.items() if name.startswith("operators/")) - 1) < 1e-6
        assert validated == {"validated/best": 0.01}
        assert logger.status == "success"


def test_loggers_are_those_of_the_trainer_without_tensorboards(tmp_path: Path) -> None:
    own, board = CSVLogger(tmp_path), TensorBoardLogger(tmp_path)
    assert named_loggers({"logger": [own, board]}) == [own]
    assert named_loggers({"logger": own}) == [own]
    assert [named_loggers(each) for each in ({}, {"logger": True}, {"logger": None})] == [[], [], []]
