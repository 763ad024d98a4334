"""The command line: Lightning's four verbs and ``search``."""

import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities.exceptions import MisconfigurationException, SIGTERMException

# Imported so that --model, --data and loss names need no path, and their checkpoints load.
import callbacks  # noqa: F401
import datamodules  # noqa: F401
import lightning_modules.losses
import lightning_modules.recommenders  # noqa: F401
from lightning_modules.search.settings import SearchSettings
from lightning_modules.search.study import run_search

_INTERRUPTED, _TERMINATED = 130, 143


class Parser(LightningArgumentParser):
    """Remembers the subcommands action, so that own subcommands can join Lightning's."""

    def add_subcommands(self, *args: Any, **kwargs: Any) -> Any:
        """Add the action as usual."""
        self.subcommands_action = super().add_subcommands(*args, **kwargs)
        return self.subcommands_action


class CLI(LightningCLI):
    """Lightning's command line and the ``search`` subcommand, which reads the same trainer, model and data keys."""

    def setup_parser(
        self, add_subcommands: bool, main_kwargs: dict[str, Any], subparser_kwargs: dict[str, Any]
    ) -> None:
        """Set up Lightning's subcommands, then ``search``."""
        super().setup_parser(add_subcommands, main_kwargs, subparser_kwargs)
        if not add_subcommands:
            return
        description = "Search for a loss function."
        parser = self.init_parser(description=description)
        self.add_default_arguments_to_parser(parser)
        self.add_core_arguments_to_parser(parser)
        self.add_arguments_to_parser(parser)
        parser.add_class_arguments(SearchSettings, "search", sub_configs=True)
        self._subcommand_parsers["search"] = parser
        self.parser.subcommands_action.add_subcommand("search", parser, help=description)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Give models the sizes that only the data knows."""
        for size in ("num_users", "num_items"):
            parser.link_arguments(f"data.{size}", f"model.init_args.{size}", apply_on="instantiate")

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Build the Trainer; ``search`` builds one for every child instead."""
        if self.subcommand == "search":
            return None  # type: ignore[return-value]
        return super().instantiate_trainer(**kwargs)

    def _run_subcommand(self, subcommand: str) -> None:
        if subcommand != "search":
            super()._run_subcommand(subcommand)
            return
        settings = self._get(self.config_init, "search")
        run_search(
            settings,
            recommender=self.model,
            datamodule=self.datamodule,
            trainer_recipe=self._get(self.config_init, "trainer").as_dict(),
            seed=self._seed(),
            save_config=self._save_config,
        )

    def _seed(self) -> int:
        seed = self._get(self.config, "seed_everything")
        return torch.initial_seed() if isinstance(seed, bool) else seed

    def _save_config(self, path: Path) -> None:
        self._parser("search").save(self.config["search"], path)


def main(args: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    arguments = sys.argv[1:] if args is None else args
    CLI(
        args=arguments,
        parser_class=Parser,
        auto_configure_optimizers=False,
        save_config_kwargs={"overwrite": True},
    )
    return 0
