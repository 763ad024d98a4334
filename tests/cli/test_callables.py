"""A model from the command line holds nothing of the command line."""

import pickle
from functools import partial

import pytest
import pytorch_lightning as pl
import torch

from lightning_modules.cli import subcommands
from lightning_modules.cli.lossmith_cli import freed
from lightning_modules.cli.main import main
from lightning_modules.recommenders import BiasedMF
from tests.cli.cli_helpers import SEARCH


def test_a_class_with_arguments_is_freed_of_what_calls_it() -> None:
    def call(parser: object, built: type, **arguments: object) -> object:
        raise AssertionError("the parser is not to be asked")

    optimizer = freed(partial(call, object(), torch.optim.SGD, lr=0.5))([torch.zeros(1, requires_grad=True)])
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.defaults["lr"] == 0.5
    assert freed(7) == 7
    own = partial(torch.optim.SGD, lr=0.5)
    assert freed(own) is own


def test_a_copied_model_takes_no_data_along(monkeypatch: pytest.MonkeyPatch) -> None:
    models: list[pl.LightningModule] = []
    monkeypatch.setattr(subcommands.SearchVerb, "run", lambda _, cli: models.append(cli.model))
    options = ["--model.optimizer=torch.optim.Adagrad", "--model.optimizer.lr=0.25"]
    assert main([*SEARCH, *options]) == 0
    (model,) = models
    assert isinstance(model, BiasedMF)
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, torch.optim.Adagrad)
    assert optimizer.defaults["lr"] == 0.25
    rows = 2000 * 8
    assert len(pickle.dumps(model)) < sum(4 * each.numel() for each in model.parameters()) + rows
