"""The arms of a polish: the trainings that it compares."""

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lightning_modules.agents.critic_weighted_loss import CriticWeightedLoss, Variant
from lightning_modules.losses import Loss
from lightning_modules.multitask.base import MultiTaskModel
from lightning_modules.multitask.weighting import TaskWeighting
from lightning_modules.polish.settings import PolishSettings

#: The control that all other arms are compared with.
CONTROL = "fine-tuned"
BASE = "base"

#: Makes the loss to train with from the model's own loss and the critics' checkpoint.
MakeLoss = Callable[[Loss, Path], Loss]


@dataclass(frozen=True)
class Arm:
    """One of the trainings that are compared.

    Attributes:
        name: Its name in tables and files.
        fine_tuned: Whether it starts from the base model's weights.
        loss: Makes its loss, which critics weigh; None keeps the model's.
        weighting: Its task weighting; None keeps the model's.
    """

    name: str
    fine_tuned: bool
    loss: MakeLoss | None = None
    weighting: TaskWeighting | None = None

    def equip(self, model: MultiTaskModel, critics: Path) -> None:
        """Give the model the arm's loss and task weighting.

        Raises:
            ValueError: If critics are to weigh a model that has one loss a task.
        """
        if self.loss is not None:
            model.loss = self.loss(_single_loss(model), critics)
        if self.weighting is not None:
            # A weighting has state that is learned, so that every training needs a new one.
            model.weighting = copy.deepcopy(self.weighting)
            model.weighting.setup(len(model.tasks))


def arms(settings: PolishSettings) -> list[Arm]:
    """Return all arms: the control first, then the critic weights, then what trains from scratch.

    Raises:
        ValueError: If two arms are the same.
    """
    found = [
        Arm(CONTROL, fine_tuned=True),
        *(_critic_arm(settings, variant, fine_tuned=True) for variant in _weighing(settings)),
        *(_from_scratch(settings) if settings.from_scratch else ()),
    ]
    twice = [name for name, count in Counter(arm.name for arm in found).items() if count > 1]
    if twice:
        raise ValueError(f"--polish.weightings has one of them twice: '{twice[0]}'")
    return found


def check_arms(found: list[Arm], build: Callable[[], MultiTaskModel], critics: str | None) -> None:
    """Refuse arms that could not be trained.

    Args:
        found: The arms.
        build: Returns an untrained model.
        critics: Checkpoint of an agent that is there already, if any.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If a loss, a weighting or the critics do not fit the model.
    """
    for arm in found:
        model = build()
        arm.equip(model, Path(critics or ""))
        model.check_loss()
        if arm.loss is not None and critics is not None:
            model.loss.prepare(model.field_sizes, model.num_numerical, model.tasks)  # type: ignore[operator]


def _from_scratch(settings: PolishSettings) -> Iterator[Arm]:
    for variant in _weighing(settings)[:1]:
        yield _critic_arm(settings, variant, fine_tuned=False)
    for weighting in settings.other_weightings:
        yield Arm(f"from scratch, {weighting.title}", fine_tuned=False, weighting=weighting)


def _weighing(settings: PolishSettings) -> list[Variant]:
    return [variant for variant in settings.variants if variant != "constant"]


def _critic_arm(settings: PolishSettings, variant: Variant, *, fine_tuned: bool) -> Arm:
    def loss(base: Loss, critics: Path) -> Loss:
        return CriticWeightedLoss(str(critics), base, settings.polish_lambda, variant)

    start = CONTROL if fine_tuned else "from scratch"
    return Arm(f"{start}, {_WEIGHTS[variant].format(settings.polish_lambda)}", fine_tuned, loss)


_WEIGHTS: dict[Variant, str] = {"one_minus_q": "1 - {:g} Q", "label_q": "-label Q", "minus_q": "-Q"}


def _single_loss(model: MultiTaskModel) -> Loss:
    if not isinstance(model.loss, Loss):
        raise ValueError(
            "critics weigh one loss of all tasks together, and the model has one a task: name one loss, or compare "
            "without critics (--polish.variants [])"
        )
    return model.loss
