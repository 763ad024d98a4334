"""Matches a recommender's dense optimizer with a lazy one for a population, or refuses it."""

from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, Optimizer

from lightning_modules.core.run_config import OPTIMIZER_IMPLEMENTATION
from lightning_modules.populations.lazy_optimizers import RowAdagrad, RowAdam, RowOptimizer, RowSGD
from lightning_modules.populations.stacked_model import UnmatchedError

_ROW_OPTIMIZERS: Mapping[type[Optimizer], type[RowOptimizer]] = {SGD: RowSGD, Adagrad: RowAdagrad, Adam: RowAdam}

_ADVICE = "use Adam, Adagrad or SGD with one group of parameters, no weight decay, momentum or scheduler, or train one \
candidate at a time"


class MatchedOptimizer(NamedTuple):
    """The optimizers of a population that equal its recommender's optimizer for every copy.

    Attributes:
        rows: Class of the table's optimizer.
        dense: Class of the parameters' optimizer.
        settings: Settings of both.
    """

    rows: type[RowOptimizer]
    dense: type[Optimizer]
    settings: Mapping[str, Any]

    def of_table(self, table: Tensor) -> RowOptimizer:
        """Return the optimizer of a table."""
        return self.rows(table, self.settings)

    def of_parameters(self, parameters: Sequence[nn.Parameter]) -> Optimizer | None:
        """Return the optimizer of parameters; ``None`` if there are none."""
        return self.dense(parameters, **self.settings) if parameters else None


def matched_optimizer(optimizer: object, recommender: nn.Module, copies: nn.Module) -> MatchedOptimizer:
    """Return the match of a recommender's optimizer.

    Args:
        optimizer: The return value of the recommender's ``configure_optimizers``.
        recommender: The recommender.
        copies: Its stacked form.

    Raises:
        UnmatchedError: If there is none.
    """
    rows = _ROW_OPTIMIZERS.get(type(optimizer))  # type: ignore[arg-type]  # anything has a type
    if rows is None:
        kind = type(optimizer).__name__
        raise UnmatchedError(f"a population cannot match what configure_optimizers returns, a {kind}; {_ADVICE}")
    assert isinstance(optimizer, Optimizer)
    refuse_other_parameters(optimizer, recommender, untrained(copies), f"a population cannot match; {_ADVICE}")
    settings = matched_settings(optimizer, rows.follows, f"a population cannot match; {_ADVICE}")
    _check_betas(settings.get("betas", (0.0, 0.5)))
    return MatchedOptimizer(rows, type(optimizer), settings)


def matched_settings(optimizer: Optimizer, matched: Set[str], advice: str) -> dict[str, Any]:
    """Return the settings of an optimizer's first group of parameters.

    Args:
        optimizer: The optimizer.
        matched: Names of settings that may have any value, apart from the learning rate.
        advice: What to do if another setting is on.

    Raises:
        UnmatchedError: If that is so.
    """
    settings = {name: value for name, value in optimizer.param_groups[0].items() if name != "params"}
    for name, value in settings.items():
        if name not in {"lr", *OPTIMIZER_IMPLEMENTATION, *matched} and value:
            raise UnmatchedError(f"{type(optimizer).__name__} has {name}={value}, which {advice}")
    return settings


def refuse_other_parameters(optimizer: Optimizer, recommender: nn.Module, fixed: Set[str], advice: str) -> None:
    """Refuse an optimizer of some parameters, or of several groups of them.

    Args:
        optimizer: The optimizer.
        recommender: The recommender that it trains.
        fixed: Names of the parameters that need no gradient.
        advice: What to do if it is refused.

    Raises:
        UnmatchedError: If it is refused.
    """
    (group, *others) = optimizer.param_groups
    trained = {id(each) for each in group["params"] if each.requires_grad}
    wanted = {id(each) for each in recommender.parameters() if each.requires_grad}
    if others or trained != wanted or untrained(recommender) != fixed:
        raise UnmatchedError(f"an optimizer of some parameters, or of several groups, is what {advice}")


def untrained(module: nn.Module) -> set[str]:
    """Return the names of the parameters that need no gradient."""
    return {name for name, parameter in module.named_parameters() if not parameter.requires_grad}


def _check_betas(betas: tuple[float, float]) -> None:
    if not betas[0] < betas[1] ** 2 < 1:
        raise UnmatchedError(f"a population needs Adam's first beta below the square of its second, got {betas}")
