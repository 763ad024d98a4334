import pytest
import pytorch_lightning as pl
import torch
from torch.optim import SGD

from lightning_modules.losses import Focal
from lightning_modules.recommenders import BiasedMF, DeepMF
from lightning_modules.training.convergence import builder


class Forgetful(pl.LightningModule):
    """Saves no hyper-parameters."""


def test_models_have_the_arguments_of_the_first_and_weights_of_their_own() -> None:
    model = BiasedMF(9, 7, embedding_dim=3, init_bias=0.25, loss=Focal(gamma=1.5), threshold=0.4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    build = builder(model)
    first, second = build(), build()
    for other in (first, second):
        assert type(other) is BiasedMF
        assert other.user_embedding.weight.shape == (9, 3)
        assert float(other.global_bias.detach()) == 0.25
        assert other.metrics.threshold == 0.4
        assert other.loss.title == model.loss.title
    name = "user_embedding.weight"
    assert not torch.equal(first.state_dict()[name], second.state_dict()[name])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_same_seed_gives_the_same_model_as_the_class_itself() -> None:
    build = builder(DeepMF(9, 7, embedding_dim=4))
    torch.manual_seed(3)
    built = build()
    torch.manual_seed(3)
    expected = DeepMF(9, 7, embedding_dim=4)
    for left, right in zip(built.parameters(), expected.parameters(), strict=True):
        assert torch.equal(left, right)


def test_an_optimizer_of_the_command_line_is_kept() -> None:
    optimizer = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.125, "momentum": 0.5}}
    model = BiasedMF(9, 7)
    # What models of the command line have saved.
    model.hparams.update(optimizer=optimizer, _instantiator="pytorch_lightning.cli.instantiate_module")
    result = builder(model)().configure_optimizers()
    assert isinstance(result, SGD)
    assert (result.defaults["lr"], result.defaults["momentum"]) == (0.125, 0.5)


def test_a_model_that_saved_nothing_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"Forgetful cannot be built anew .*save_hyperparameters\(\)"):
        builder(Forgetful())
