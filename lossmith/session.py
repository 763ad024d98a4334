"""Runs a verb of the command line with options that come from Python."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
import yaml

from lightning_modules.cli.formula_options import of_compared_text
from lightning_modules.cli.handed_over import HandedOver
from lightning_modules.cli.lossmith_cli import CLI, TrainingParser
from lightning_modules.cli.named_settings import named_settings
from lightning_modules.cli.option_values import OfText
from lightning_modules.cli.running import quiet_libraries
from lightning_modules.cli.shipped_configs import with_shipped_configs
from lossmith.description import IndescribableError, described_data, described_model, plain
from lossmith.tables import described_table, is_table

Model = str | type[pl.LightningModule] | pl.LightningModule
#: A table, a data module, its class or the name of that.
Data = Any

_LOGGER = logging.getLogger("lossmith")
_WORDS = re.compile(r"error: (.*?)\n(?:Help: .*)?", re.DOTALL)


class RaisingParser(TrainingParser):
    """Raises what is wrong with options, where the command line ends with it."""

    def exit(self, status: int = 0, message: str | None = None) -> Any:
        """Raise the message.

        Raises:
            ValueError: If it is of an error.
        """
        if status:
            match = _WORDS.fullmatch(message or "")
            raise ValueError(match[1] if match else message)
        super().exit(status, message)


class Session(CLI):
    """The command line, given its options by a program."""

    parser_class_of_verbs = RaisingParser


@dataclass
class Request:
    """The options of a verb, as sections of a configuration, and the objects that none can name.

    Attributes:
        verb: The verb.
        root: Its folder.
        sections: The sections of the configuration.
        handed: The objects.
        arguments: Further arguments of the command line.
    """

    verb: str
    root: Path
    sections: dict[str, Any]
    handed: HandedOver = field(default_factory=HandedOver)
    arguments: tuple[str, ...] = ()

    def add_model(self, model: Model | None) -> None:
        """Add the model; one that cannot be named is used as it is."""
        if model is None:
            return
        try:
            self._name("model", described_model(model))
        except IndescribableError as error:
            self.handed.model = self._as_it_is("model", model, error)

    def add_data(
        self,
        data: Data | None,
        columns: Mapping[str, str] | None,
        model: Model | None,
        config: str | Path | None = None,
    ) -> None:
        """Add the data; tables are written into the folder, and a data module that cannot be named is used as it is.

        Args:
            data: The data.
            columns: The columns of a table by their meaning.
            model: The model, for which tables are read.
            config: The configuration file that names the model if it is not given.
        """
        if is_table(data):
            gives = _given_by(model if model is not None else _model_in(config))
            self.sections["data"] = described_table(data, self.root, columns or {}, gives)
            return
        if columns:
            raise ValueError("columns name those of a table, but data is none; a data module has options for them")
        if data is None:
            return
        try:
            self._name("data", described_data(data))
        except IndescribableError as error:
            self.handed.datamodule = self._as_it_is("data", data, error)

    def run(self, config: str | Path | None) -> Any:
        """Run the verb and return its result.

        Args:
            config: A configuration file whose settings count where the request has none.
        """
        with TemporaryDirectory() as folder:
            own = Path(folder) / "options.yaml"
            own.write_text(self._as_text(), encoding="utf-8")
            with quiet_libraries():
                return Session([self.verb, *self._arguments(config, str(own))], handed=self.handed).outcome

    def of_text(self, config: str | Path | None) -> OfText:
        """Return what makes losses of texts under the options that the request of a comparison has so far."""
        return of_compared_text(self._arguments(config, self._as_text()))

    def _as_text(self) -> str:
        return str(yaml.safe_dump(plain(self.sections), sort_keys=False))

    def _arguments(self, config: str | Path | None, own: str) -> list[str]:
        files = [] if config is None else with_shipped_configs(["--config", str(config)])
        return [*files, "--config", own, *self.arguments]

    def _name(self, section: str, description: dict[str, Any]) -> None:
        self.sections[section] = description
        if description["class_path"].startswith("__main__."):
            _LOGGER.warning(
                "the class of the %s is defined in this session: put it into a module for train.py to go on with '%s'",
                section,
                self.root,
            )

    def _as_it_is(self, section: str, given: Any, error: IndescribableError) -> Any:
        # Otherwise that of a study or a configuration would be built beside it.
        self.sections[section] = None
        _LOGGER.warning(
            "'%s' will not name the %s, so that only Python can go on with it: %s",
            self.root / "config.yaml",
            section,
            error,
        )
        return given


def _model_in(config: str | Path | None) -> str | None:
    """Return the class of the model that a configuration file names; ``None`` if it names none or cannot be read."""
    if config is None:
        return None
    # Of what cannot be read the parser says what is wrong.
    settings = next(named_settings(with_shipped_configs(["--config", str(config)])), None)
    model = (settings or {}).get("model")
    name = model.get("class_path") if isinstance(model, Mapping) else model
    return name if isinstance(name, str) else None


def _given_by(model: Model | None) -> str | None:
    if isinstance(model, str):
        from lightning_modules.cli.registry import named

        model = named(pl.LightningModule).get(model.rpartition(".")[2])
    return getattr(model, "gives", None)


def options_of(options: Mapping[str, Any], **named: Any) -> dict[str, Any]:
    """Return the own options of a verb: those that are named, and further ones; ``None`` leaves an option open."""
    return {name: value for name, value in {**named, **options}.items() if value is not None}


def trainer_of(trainer: Mapping[str, Any] | None, logger: Any) -> tuple[dict[str, Any], Sequence[Any]]:
    """Return the section ``trainer`` and the loggers, which are objects that no file names."""
    loggers = [] if logger is None else [*logger] if isinstance(logger, list | tuple) else [logger]
    return {"trainer": dict(trainer)} if trainer else {}, loggers
