"""How rewards and finalists were measured, in words."""

from dataclasses import dataclass

from lightning_modules.statistics.single_metric import metric_name

_TITLES = {"auc": "AUC", "log_loss": "log-loss", "ndcg": "NDCG", "mrr": "MRR", "map": "MAP"}


@dataclass(frozen=True)
class Measurement:
    """How rewards and results of finalists were measured, for readers.

    Attributes:
        monitor: The metric, such as ``val/auc``.
        reward: How long a candidate was trained for its reward, such as ``2 epochs``.
        holds_out: Whether rewards were measured on rows that were held out of the training rows, and not on the
            validation rows.
        seeds: Trainings of each finalist.
        most_epochs: The most epochs of each of them.
        tuned: What was tuned for each of them, in words.
        baseline: The loss that finalists are compared with.
        relative: Whether rewards are differences to that loss, too.
        negated: Whether less of the metric is better, so that it counts with the other sign.
    """

    monitor: str
    reward: str
    holds_out: bool
    seeds: int
    most_epochs: int
    tuned: str = "learning rate and weight decay"
    baseline: str = "BCE"
    relative: bool = True
    negated: bool = False

    @property
    def metric(self) -> str:
        """The name of the metric in a sentence."""
        return metric_title(self.monitor)

    @property
    def reward_axis(self) -> str:
        """What a reward is, for an axis."""
        if self.relative:
            return f"reward: {self.metric} better than {self.baseline}'s by"
        return f"reward: {'negated ' if self.negated else ''}{self.metric}"

    @property
    def reward_sentence(self) -> str:
        """What a reward is."""
        score = f"negated {self.metric}" if self.negated else self.metric
        what = f"how much better than {self.baseline}'s the {self.metric} is" if self.relative else f"the {score}"
        return f"The reward is {what} after {self.reward}, on {self.reward_rows}; se is its standard error."

    @property
    def finalist_sentence(self) -> str:
        """How finalists were trained and compared."""
        return (
            f"Every finalist and {self.baseline} had {self.tuned} tuned for it and was trained {self.seeds} times, "
            f"{self.finalist_length}. Then their {self.metric} on the validation rows was compared."
        )

    @property
    def reward_rows(self) -> str:
        """The rows that rewards were measured on."""
        return "rows held out of the training rows" if self.holds_out else "the validation rows"

    @property
    def finalist_length(self) -> str:
        """How long finalists were trained."""
        if self.most_epochs == 1:
            return f"for 1 epoch, tuned by the {self.metric} on {self.reward_rows}"
        return f"until the {self.metric} on {self.reward_rows} got no better, for at most {self.most_epochs} epochs"


def metric_title(monitor: str) -> str:
    """Return the name of a monitored metric, such as ``val/auc``, in a sentence."""
    measured, _, task = metric_name(monitor).partition("/")
    name, *cutoff = measured.split("@")
    title = "@".join([_TITLES.get(name, name.replace("_", " ")), *cutoff])
    return f"{title} {task}".rstrip()


def reward_length(epochs: int | None, *, tuned_around: str = "") -> str:
    """Return how long candidates are trained for their rewards, in words.

    Args:
        epochs: The most epochs; ``None`` for any number.
        tuned_around: The baseline around whose best setting each candidate is tuned; empty if none is.
    """
    length = "training" if epochs is None else "1 epoch" if epochs == 1 else f"{epochs} epochs"
    if not tuned_around:
        return length
    most = length if epochs == 1 else f"at most {length}"
    return f"{most} with the best of a few settings around {tuned_around}'s best"


def tuned_words(*, temperatures: bool) -> str:
    """Return what is tuned for a finalist, in words."""
    return "learning rate, weight decay and temperature" if temperatures else Measurement.tuned
