"""A comparison's model, data and trainer, where the command line leaves them to the study that it names."""

import json
from collections.abc import Sequence
from pathlib import Path

from lightning_modules.search.studies import Study, settings_of

_SECTIONS = ("trainer", "model", "data")
#: How long a search trains its candidates, which is not how long a comparison trains.
_LENGTHS = ("max_epochs", "min_epochs", "max_steps", "min_steps", "max_time", "check_val_every_n_epoch")


def with_study_settings(arguments: Sequence[str], option: str) -> list[str]:
    """Return a command line with the study's own settings in front, unless it says which model and data to take.

    Args:
        arguments: The arguments after the verb, spelled out.
        option: The option that names the study, followed by ``=`` and its folder.

    Raises:
        FileNotFoundError: If the folder holds no study.
        ValueError: If the study's settings cannot be read.
    """
    study = next((each.partition("=")[2] for each in arguments if each.startswith(f"{option}=")), None)
    given = any(each.partition("=")[0] in ("--config", "--model", "--data") for each in arguments)
    if study is None or given:
        return list(arguments)
    settings = settings_of(Path(study))
    if not settings:
        # Raises if there is no study, for which the model would be called missing.
        Study.read(study)
    chosen = {name: settings[name] for name in _SECTIONS if name in settings}
    if "trainer" in chosen:
        chosen["trainer"] = {name: value for name, value in chosen["trainer"].items() if name not in _LENGTHS}
    return [f"--config={json.dumps(chosen)}", *arguments] if chosen else list(arguments)
