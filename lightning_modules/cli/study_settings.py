"""A comparison's model, data and trainer, where the command line leaves them to the study that it names."""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_modules.cli.foreign_settings import known_section, plain_trainer
from lightning_modules.continuation import CONFIG_NAME
from lightning_modules.search.studies import Study, settings_of

_SECTIONS = ("model", "data")


def with_study_settings(arguments: Sequence[str], option: str) -> list[str]:
    """Return a command line with the study's own settings in front, unless it says which model and data to take.

    Of the Trainer's options only figures are taken, and not how long a search trains its candidates, which is not how
    long a comparison trains. The folder may be anybody's, so nothing of it is run.

    Args:
        arguments: The arguments after the verb, spelled out.
        option: The option that names the study, followed by ``=`` and its folder.

    Raises:
        FileNotFoundError: If the folder holds no study.
        ValueError: If the study's settings cannot be read, or name a class that is not the project's.
    """
    study = next((each.partition("=")[2] for each in arguments if each.startswith(f"{option}=")), None)
    given = any(each.partition("=")[0] in ("--config", "--model", "--data") for each in arguments)
    if study is None or given:
        return list(arguments)
    settings = settings_of(Path(study))
    if not settings:
        # Raises if there is no study, for which the model would be called missing.
        Study.read(study)
    chosen = _chosen(settings, Path(study) / CONFIG_NAME)
    return [f"--config={json.dumps(chosen, default=str)}", *arguments] if chosen else list(arguments)


def _chosen(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    try:
        chosen = {name: known_section(name, settings[name]) for name in _SECTIONS if name in settings}
        trainer, left_out = plain_trainer(settings.get("trainer", {}))
    except ValueError as error:
        raise ValueError(
            f"'{path}' is not taken over: {error}. Name --model and --data with their arguments, or, if you trust the "
            "file, copy these sections of it to one that you name with --config, which may run any code"
        ) from error
    if left_out:
        warnings.warn(
            f"of '{path}' the trainer's {', '.join(left_out[:10])} are left out, since the file may be anybody's; "
            "name them on the command line if the comparison is to have them",
            stacklevel=2,
        )
    return {**chosen, "trainer": trainer} if trainer else chosen
