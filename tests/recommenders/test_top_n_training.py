"""Every top-N model through the Trainer: what it learns, keeps, goes on from and recommends."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import ModelCheckpoint

from callbacks import LastCheckpoint
from datamodules import ImplicitFeedback, SyntheticInteractions
from lightning_modules.losses import BCE, MisfitError, SampledSoftmax
from lightning_modules.recommenders import (
    EASE,
    IALS,
    MF,
    BiasedMF,
    CatalogueRecommender,
    LightGCN,
    MostPopular,
    RankNet,
    Recommender,
)
from lightning_modules.training.quick_steps import QuickEpochLoop, with_quick_steps
from tests.recommenders.top_n_helpers import ITEMS, USERS, feedback
from tests.trainer_helpers import quiet_trainer

ADAM = partial(torch.optim.Adam, lr=0.05)
TRAINED = [partial(MF, embedding_dim=8, optimizer=ADAM), partial(LightGCN, embedding_dim=8, optimizer=ADAM)]
SOLVED = [MostPopular, partial(EASE, l2=5.0), partial(IALS, embedding_dim=4)]
every_model = pytest.mark.parametrize(
    "kind", [*TRAINED, *SOLVED], ids=lambda kind: getattr(kind, "func", kind).__name__
)
trained_model = pytest.mark.parametrize("kind", TRAINED, ids=lambda kind: kind.func.__name__)


@pytest.fixture
def data(tmp_path: Path) -> ImplicitFeedback:
    return feedback(tmp_path / "data")


def build(kind: Callable[..., CatalogueRecommender], data: Any, **options: Any) -> CatalogueRecommender:
    torch.manual_seed(1)
    return kind(data.num_users, data.num_items, cutoffs=(2, 5), **options)


def fit(model: CatalogueRecommender, data: Any, **options: Any) -> pl.Trainer:
    trainer = with_quick_steps(quiet_trainer(**{"max_epochs": 12, **options}))
    torch.manual_seed(2)
    trainer.fit(model, datamodule=data)
    return trainer


@every_model
def test_it_finds_the_users_kind(kind: Callable[..., CatalogueRecommender], data: ImplicitFeedback) -> None:
    model = build(kind, data)
    fit(model, data)
    logged = quiet_trainer().test(model, datamodule=data, verbose=False)[0]
    assert model.validation_metric == "val/ndcg@5"
    # Two of the four or so that are left of a user's ten items are to be found; of all items, two of 23.
    assert logged["test/recall@5"] > (0.05 if isinstance(model, MostPopular) else 0.5)
    assert 0 < logged["test/coverage@5"] <= 1
    assert logged["test/popularity@5"] > 0


@trained_model
def test_steps_are_quick(kind: Callable[..., CatalogueRecommender], data: ImplicitFeedback) -> None:
    loop = fit(build(kind, data), data, max_epochs=1).fit_loop.epoch_loop
    assert isinstance(loop, QuickEpochLoop)
    assert loop._hooks is not None


@pytest.mark.parametrize("kind", SOLVED, ids=lambda kind: getattr(kind, "func", kind).__name__)
def test_what_is_solved_takes_one_step_an_epoch(
    kind: Callable[..., CatalogueRecommender], data: ImplicitFeedback
) -> None:
    trainer = fit(build(kind, data), data, max_epochs=3)
    assert trainer.global_step == 3
    assert trainer.num_training_batches == 1


@every_model
def test_a_checkpoint_gives_the_model_back(
    kind: Callable[..., CatalogueRecommender], data: ImplicitFeedback, tmp_path: Path
) -> None:
    model = build(kind, data)
    best = ModelCheckpoint(tmp_path, monitor=model.validation_metric, mode="max", filename="best")
    fit(model, data, max_epochs=2, callbacks=[best], enable_checkpointing=True)
    again = type(model).load_from_checkpoint(best.best_model_path, weights_only=True)
    assert {**again.hparams, "cutoffs": (2, 5)} == model.hparams
    results = [quiet_trainer().test(each, datamodule=data, verbose=False)[0] for each in (model, again)]
    checkpoint = torch.load(best.best_model_path, weights_only=True)["state_dict"]
    if all(torch.equal(value, model.state_dict()[name]) for name, value in checkpoint.items()):
        assert results[0] == results[1]
    model.load_state_dict(checkpoint)
    assert quiet_trainer().test(model, datamodule=data, verbose=False)[0] == results[1]


@every_model
def test_an_interrupted_training_ends_as_an_uninterrupted_one(
    kind: Callable[..., CatalogueRecommender], tmp_path: Path
) -> None:
    whole = build(kind, feedback(tmp_path / "data"))
    fit(whole, feedback(tmp_path / "data"), max_epochs=4)
    data = feedback(tmp_path / "data")
    last = LastCheckpoint()
    fit(build(kind, data), data, max_epochs=2, callbacks=[last], enable_checkpointing=True, default_root_dir=tmp_path)
    resumed, data = build(kind, data), feedback(tmp_path / "data")
    trainer = with_quick_steps(quiet_trainer(max_epochs=4))
    trainer.fit(resumed, datamodule=data, ckpt_path=last.path, weights_only=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@every_model
def test_recommendations_are_the_best_items_that_are_not_seen(
    kind: Callable[..., CatalogueRecommender], data: ImplicitFeedback
) -> None:
    model = build(kind, data)
    fit(model, data, max_epochs=3)
    trainer = quiet_trainer()
    found = trainer.predict(model, datamodule=data)
    with torch.no_grad():
        scores = model.scorer()(torch.arange(USERS))
    items = data.items_of_training()
    scores[items.user, items.item] = -torch.inf
    expected = scores.sort(dim=1, descending=True, stable=True)
    user, item, rank, score = (torch.cat(columns) for columns in zip(*found, strict=True))
    assert user.tolist() == torch.arange(USERS).repeat_interleave(5).tolist()
    assert rank.tolist() == [1, 2, 3, 4, 5] * USERS
    assert item.tolist() == expected.indices[:, :5].flatten().tolist()
    torch.testing.assert_close(score, expected.values[:, :5].flatten())


@every_model
def test_a_user_gets_no_more_items_than_there_are_left(
    kind: Callable[..., CatalogueRecommender], data: ImplicitFeedback
) -> None:
    model = build(kind, data)
    model.top_k = ITEMS
    found = quiet_trainer().predict(model, datamodule=data)
    count = torch.bincount(torch.cat([each.user for each in found]))
    assert torch.equal(count, data.items_of_training().count_outside)


@every_model
def test_catalogues_are_ranked_in_full_precision(
    kind: Callable[..., CatalogueRecommender], data: ImplicitFeedback
) -> None:
    model = build(kind, data)
    fit(model, data, max_epochs=3)
    full, half = (
        quiet_trainer(precision=precision).test(model, datamodule=data, verbose=False)
        for precision in ("32-true", "bf16-mixed")
    )
    assert full == half


@pytest.mark.parametrize("kind", SOLVED, ids=lambda kind: getattr(kind, "func", kind).__name__)
def test_what_is_solved_is_solved_in_full_precision(
    kind: Callable[..., CatalogueRecommender], data: ImplicitFeedback
) -> None:
    full, half = (build(kind, data) for _ in range(2))
    fit(full, data, max_epochs=1)
    fit(half, data, max_epochs=1, precision="bf16-mixed")
    for name, value in full.state_dict().items():
        assert torch.equal(value, half.state_dict()[name]), name
    with pytest.raises(MisconfigurationException, match=r"full precision, and the Trainer's is bf16-true"):
        quiet_trainer(max_epochs=1, precision="bf16-true").fit(build(kind, data), datamodule=data)


def test_values_of_users_are_those_of_the_metrics(data: ImplicitFeedback) -> None:
    model = build(TRAINED[0], data)
    logged = quiet_trainer().test(model, datamodule=data, verbose=False)[0]
    for name in ("ndcg@5", "recall@2", "map@5"):
        values = torch.cat([model.user_values(batch, name) for batch in data.test_dataloader()])
        assert float(values.mean()) == pytest.approx(logged[f"test/{name}"], rel=1e-5)
    for name in ("ndcg", "ndcg@0", "coverage@5", "auc"):
        with pytest.raises(ValueError, match="no mean over users"):
            model.user_values(next(iter(data.test_dataloader())), name)


@pytest.mark.parametrize("kind", [BiasedMF, RankNet])
def test_models_of_labelled_rows_refuse_data_without_labels(kind: type[Recommender], data: ImplicitFeedback) -> None:
    with pytest.raises(MisconfigurationException, match=rf"{kind.__name__} trains on rows with labels"):
        quiet_trainer(max_epochs=1).fit(kind(data.num_users, data.num_items), datamodule=data)


@pytest.mark.parametrize("kind", [MF, LightGCN, EASE])
def test_data_without_training_items_is_refused(kind: Callable[..., CatalogueRecommender]) -> None:
    data = SyntheticInteractions(num_users=20, num_items=10, num_interactions=100)
    with pytest.raises(MisconfigurationException, match=r"SyntheticInteractions, without items_of_training"):
        fit(build(kind, data), data)


def test_a_pointwise_loss_is_refused(data: ImplicitFeedback) -> None:
    model = build(MF, data)
    model.loss = BCE()  # type: ignore[assignment]
    with pytest.raises(MisfitError, match="BCE"):
        fit(model, data)


class Watching(SampledSoftmax):
    """Notes what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def prepare(self, user: torch.Tensor, item: torch.Tensor, num_users: int, num_items: int) -> None:
        self.events.append(("rows", len(user), num_users, num_items))

    def start_epoch(self, epoch: int, scores: Any, generator: torch.Generator) -> None:
        values = scores(torch.tensor([0, 3]))
        self.events.append(
            (epoch, tuple(values.shape), values.requires_grad, float(torch.rand(1, generator=generator)))
        )

    def training_state(self) -> dict[str, Any]:
        return {"seen": len(self.events)}

    def load_training_state(self, state: dict[str, Any]) -> None:
        self.events.append(("resumed", state["seen"]))


def test_a_loss_draws_alike_in_every_process(data: ImplicitFeedback) -> None:
    loss = Watching()
    model = build(TRAINED[0], data, loss=loss)
    processes = SimpleNamespace(world_size=2, current_epoch=3, strategy=SimpleNamespace(broadcast=lambda _: 7))
    model._trainer = processes  # type: ignore[assignment]
    for own_seed in (1, 2):
        torch.manual_seed(own_seed)
        model.on_train_epoch_start()
    assert loss.events[0] == loss.events[1]


def test_a_loss_sees_the_rows_and_the_scores_of_every_epoch(data: ImplicitFeedback, tmp_path: Path) -> None:
    loss = Watching()
    last = LastCheckpoint()
    fit(
        build(TRAINED[0], data, loss=loss),
        data,
        max_epochs=2,
        callbacks=[last],
        enable_checkpointing=True,
        default_root_dir=tmp_path,
    )
    rows = ("rows", len(data.rows["train"].user), USERS, ITEMS)
    assert loss.events[0] == rows
    assert [each[:3] for each in loss.events[1:]] == [(epoch, (2, ITEMS), False) for epoch in range(2)]
    assert loss.events[1][3] != loss.events[2][3]
    resumed = build(TRAINED[0], data, loss=(again := Watching()))
    trainer = quiet_trainer(max_epochs=3)
    trainer.fit(resumed, datamodule=data, ckpt_path=last.path, weights_only=True)
    assert again.events[:2] == [rows, ("resumed", 3)]
    assert again.events[2][0] == 2
