"""TensorBoard's page of hyper-parameters has what a user has set, and the metric that a fit is judged by."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import CSVLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from callbacks import HyperParameters
from datamodules import SyntheticInteractions
from lightning_modules.cli.main import main
from lightning_modules.cli.trainer_verbs import default_logger
from lightning_modules.losses import Focal
from lightning_modules.recommenders import BiasedMF

QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}


def settings_of(events: EventAccumulator) -> dict[str, Any]:
    content = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    values = HParamsPluginData.FromString(content).session_start_info.hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in values.items()}


def metrics_of(events: EventAccumulator) -> list[str]:
    content = events.PluginTagToContent("hparams")["_hparams_/experiment"]
    return [each.name.tag for each in HParamsPluginData.FromString(content).experiment.metric_infos]


def test_the_entry_has_what_was_set_and_the_metric_of_the_curve(tmp_path: Path) -> None:
    data = SyntheticInteractions(num_users=20, num_items=15, num_interactions=300)
    model = BiasedMF(40, 40, embedding_dim=3, loss=Focal(gamma=1.5))
    model.hparams["_instantiator"] = "of Lightning"
    logger = default_logger(tmp_path)
    loggers = [logger, CSVLogger(tmp_path)]
    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", logger=loggers, callbacks=[HyperParameters()], **QUIET)
    trainer.fit(model, datamodule=data)
    events = EventAccumulator(logger.log_dir).Reload()
    settings = settings_of(events)
    assert settings["model"] == "BiasedMF"
    assert settings["data"] == "SyntheticInteractions"
    assert settings["embedding_dim"] == 3
    assert settings["loss"] == "Focal"
    assert settings["loss/gamma"] == 1.5
    assert "None" not in settings.values()
    assert not any(name.startswith("_") for name in settings)
    assert metrics_of(events) == ["val/auc"]
    assert len(events.Scalars("val/auc")) == 2
    assert "hp_metric" not in events.Tags()["scalars"]


def test_a_fit_of_the_command_line_has_it_and_no_metric_of_minus_one(tmp_path: Path) -> None:
    options = ["--data.num_users=20", "--data.num_items=15", "--data.num_interactions=300"]
    trainer = ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", f"--trainer.default_root_dir={tmp_path}"]
    assert main(["fit", "--model=BiasedMF", "--data=SyntheticInteractions", *options, *trainer]) == 0
    run = tmp_path / "lightning_logs" / "version_0"
    events = EventAccumulator(str(run)).Reload()
    assert metrics_of(events) == ["val/auc"]
    assert not any(name.startswith("_") for name in settings_of(events))
    assert "hp_metric" not in events.Tags()["scalars"]
