"""The options of a polish."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lightning_modules.agents import ActorCritic
from lightning_modules.agents.critic_weighted_loss import Variant
from lightning_modules.multitask import DynamicWeightAveraging, MultiTaskModel, UncertaintyWeighting
from lightning_modules.multitask.weighting import TaskWeighting

#: Makes an agent from the field sizes, the number of numerical features, the tasks, and the actor: a model or its
#: checkpoint.
AgentCallable = Callable[[Sequence[int], int, Sequence[str], str | MultiTaskModel], ActorCritic]

_AT_LEAST_ONE = ("seeds", "agent_epochs", "agent_rows", "fine_tuning_epochs", "patience", "resamples")


@dataclass(frozen=True)
class PolishSettings:
    """Options of a polish.

    Args:
        root: Folder of the polish: checkpoints of every stage, results.csv, summary.md and TensorBoard runs. Named
            again, it is continued: what is trained is not trained again.
        seeds: Runs of all stages; the first has the seed seed_everything, the next one more, and so on.
        agent: The agent whose critics are fitted; by default DDPG with a frozen actor, of whose own
            predictions the critics learn.
        agent_epochs: Passes over the logged sessions in which the critics are fitted.
        agent_rows: Logged rows that the agent acts on in each of its updates.
        critics: Checkpoint of an agent whose critics serve all seeds, for instance one fitted to another model; no
            critics are fitted then.
        polish_lambda: Factor of Q in the weights 1 - lambda * Q.
        variants: Critic weights to fine-tune with; constant weights are the control, which is always there. Without any
            other no critics are fitted.
        fine_tuning_epochs: Epochs of every fine-tuning, the control included.
        fine_tuning_learning_rate: Learning rate of every fine-tuning; by default that of the model's optimizer.
        from_scratch: Whether to train untrained models too, with the first variant and the other task weightings.
        weightings: The other task weightings to train from scratch with, as one more comparison; by default
            UncertaintyWeighting and DynamicWeightAveraging.
        monitor: The validation metric that decides which epoch is best, and when a training from scratch stops.
        mode: Whether more (max) or less (min) of it is better.
        patience: Validations without a better metric before a training from scratch ends.
        resamples: Number of bootstrap resamples of the test sessions.
        confidence: Confidence of the intervals.
        threads: CPU threads of torch; 0 leaves torch's own number.
    """

    root: str = "runs/polish"
    seeds: int = 3
    agent: AgentCallable | None = None
    agent_epochs: int = 6
    agent_rows: int = 2048
    critics: str | None = None
    polish_lambda: float = 0.7
    variants: list[Variant] = field(default_factory=lambda: ["one_minus_q", "label_q", "minus_q"])
    fine_tuning_epochs: int = 2
    fine_tuning_learning_rate: float | None = None
    from_scratch: bool = True
    weightings: list[TaskWeighting] | None = None
    monitor: str = "val/auc"
    mode: Literal["max", "min"] = "max"
    patience: int = 2
    resamples: int = 2_000
    confidence: float = 0.95
    threads: int = 1

    def __post_init__(self) -> None:
        """Refuse numbers out of range.

        Raises:
            ValueError: If a number is out of its range, or a variant is named twice.
        """
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise ValueError(f"--polish.{name} is {getattr(self, name)}, but a polish needs at least 1")
        if self.threads < 0:
            raise ValueError(f"--polish.threads is {self.threads}, but cannot be negative")
        if not self.polish_lambda >= 0:
            raise ValueError(f"--polish.polish_lambda is {self.polish_lambda}, but must be >= 0")
        if self.fine_tuning_learning_rate is not None and not self.fine_tuning_learning_rate > 0:
            rate = self.fine_tuning_learning_rate
            raise ValueError(f"--polish.fine_tuning_learning_rate is {rate}, but must be > 0")
        if not 0 < self.confidence < 1:
            raise ValueError(f"--polish.confidence is {self.confidence}, but a confidence lies in (0, 1)")
        if len(set(self.variants)) < len(self.variants):
            raise ValueError(f"--polish.variants are {self.variants}, but one of them is there twice")

    @property
    def other_weightings(self) -> list[TaskWeighting]:
        """The other task weightings to train from scratch with."""
        return [UncertaintyWeighting(), DynamicWeightAveraging()] if self.weightings is None else self.weightings
