"""The multi-task model that acts: read from its checkpoint, described in plain values, and built again."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor

from lightning_modules.agents.model_inputs import Inputs
from lightning_modules.agents.task_critics import read_checkpoint
from lightning_modules.multitask import MultiTaskModel
from lightning_modules.utilities.serialization import imported_class

_EXPECTED = "give the checkpoint of a multi-task model, as fit writes it"
#: What a model is trained with, and an actor does not need.
_TRAINING = ("loss", "weighting", "optimizer")


class StoredActor(NamedTuple):
    """An actor in plain values.

    Attributes:
        description: ``{"class_path": ..., "init_args": {...}}``, without what the model is trained with.
        weights: Its weights; empty where new ones are to be drawn.
    """

    description: dict[str, Any]
    weights: dict[str, Tensor]


def stored_actor(actor: str | dict[str, Any] | MultiTaskModel, inputs: Inputs) -> StoredActor:
    """Return an actor in plain values.

    Args:
        actor: Checkpoint of a model; or a model, which is copied; or a description of one, whose weights are drawn and
            which need not say the sizes that the data decides.
        inputs: What the data has.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint of a model that is imported, or the model's fields, features or tasks are
            not those of the data.
    """
    if isinstance(actor, str):
        checkpoint = read_checkpoint(actor, _EXPECTED)
        arguments, state, source = checkpoint.get("hyper_parameters", {}), checkpoint["state_dict"], f"'{actor}'"
        model = _class_of(str(arguments.get("_class_path", "")), source)
    elif isinstance(actor, MultiTaskModel):
        arguments, state, source = {**actor.hparams, **actor.plain_objects()}, actor.state_dict(), "it"
        model = type(actor)
    else:
        arguments, state, source = {**_of_data(inputs), **actor.get("init_args", {})}, {}, "the description"
        model = _class_of(str(actor.get("class_path", "")), source)
    return StoredActor(_description(model, arguments, source, inputs), _without_training(state))


def build_actor(actor: StoredActor) -> MultiTaskModel:
    """Return a new model.

    Raises:
        ValueError: If the weights or an argument do not fit it.
    """
    model_class = _class_of(actor.description["class_path"], "the actor")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--actor", type=MultiTaskModel)
    try:
        model: MultiTaskModel = parser.instantiate(parser.parse_object({"actor": actor.description})).actor
        model.load_state_dict(actor.weights or model.state_dict())
    except (ArgumentError, RuntimeError) as error:
        raise ValueError(f"the actor's arguments or weights do not fit {model_class.__name__}: {error}") from error
    return model


def _of_data(inputs: Inputs) -> dict[str, Any]:
    return {"field_sizes": inputs.field_sizes, "num_numerical": inputs.num_numerical, "tasks": inputs.tasks}


def _description(
    model: type[MultiTaskModel], arguments: Mapping[str, Any], source: str, inputs: Inputs
) -> dict[str, Any]:
    kept = {name: _plain(each) for name, each in arguments.items() if not (name in _TRAINING or name.startswith("_"))}
    has = Inputs(kept.get("field_sizes", ()), kept.get("num_numerical", 0), kept.get("tasks", ()))
    differences = has.differences(inputs, "the data")
    if differences:
        raise ValueError(
            f"the actor does not fit the data: {source} has {'; '.join(differences)}. "
            "Give an actor that was trained on this data"
        )
    return {"class_path": f"{model.__module__}.{model.__qualname__}", "init_args": kept}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value


def _without_training(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # Losses and weightings may learn too.
    return {name: each.detach() for name, each in state.items() if name.partition(".")[0] not in _TRAINING}


def _class_of(path: str, source: str) -> type[MultiTaskModel]:
    by_name = {model.__name__: model for model in _subclasses(cast(Any, MultiTaskModel))}
    found = imported_class(path, cast(Any, MultiTaskModel)) if "." in path else by_name.get(path)
    if found is not None:
        return found
    held = f"names '{path}'" if path else "names no model"
    raise ValueError(f"the actor is no multi-task model that is imported: {source} {held}; {_EXPECTED}")


def _subclasses(model: type[MultiTaskModel]) -> Iterator[type[MultiTaskModel]]:
    for subclass in model.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
