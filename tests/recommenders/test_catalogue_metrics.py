"""Models of labelled rows are measured by the ranking of the catalogue too, as top-N models are."""

from typing import Any

import pytest
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor

from datamodules import SyntheticInteractions
from datamodules.batches import Batch
from datamodules.interactions.catalogues import catalogue_loader
from lightning_modules.populations import UnmatchedError
from lightning_modules.populations.fused import biased_mf as _registered  # noqa: F401
from lightning_modules.populations.fused.fused_model import check_fused
from lightning_modules.populations.stacked_model import check_decisive_methods, stacked
from lightning_modules.recommenders import MF, BiasedMF, DeepMF, RankNet, Recommender
from tests.recommenders.recommender_helpers import build, planted_data
from tests.trainer_helpers import quiet_trainer

MODELS = [BiasedMF, DeepMF, RankNet]
CUTOFFS = (3, 10)


def fitted(kind: type[Recommender], data: SyntheticInteractions, **options: Any) -> tuple[Any, dict[str, float]]:
    torch.manual_seed(1)
    model = build(kind, data, cutoffs=CUTOFFS, **options)
    trainer = quiet_trainer(max_epochs=2)
    trainer.fit(model, datamodule=data)
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return model.eval(), logged | trainer.test(model, datamodule=data, verbose=False)[0]


def expected(model: Recommender, data: SyntheticInteractions, split: str, k: int) -> dict[str, float]:
    """Return recall and hit rate by Python's sets, out of the scores of every pair."""
    train, held_out = data.rows["train"], data.rows[split]
    recall, hit = [], []
    for user in range(1, data.num_users):
        taken = {*train.item[train.user == user].tolist()}
        wanted = {*held_out.item[(held_out.user == user) & (held_out.label > 0)].tolist()} - taken - {0}
        if not wanted:
            continue
        items = torch.tensor([item for item in range(1, data.num_items) if item not in taken])
        with torch.no_grad():
            score = model(torch.full_like(items, user), items)
        best = {*items[score.argsort(descending=True, stable=True)[:k]].tolist()}
        recall.append(len(best & wanted) / len(wanted))
        hit.append(float(bool(best & wanted)))
    return {f"recall@{k}": sum(recall) / len(recall), f"hit_rate@{k}": sum(hit) / len(hit)}


@pytest.mark.parametrize("kind", MODELS)
def test_metrics_are_those_of_the_scores_of_all_pairs(kind: type[Recommender]) -> None:
    data = planted_data()
    model, logged = fitted(kind, data)
    assert {"val/auc", "test/auc", "val/ndcg@10", "test/coverage@3", "test/popularity@3"} <= logged.keys()
    for split, prefix in (("validation", "val"), ("test", "test")):
        for k in CUTOFFS:
            for name, value in expected(model, data, split, k).items():
                assert logged[f"{prefix}/{name}"] == pytest.approx(value, abs=1e-6), name


def test_metrics_are_those_of_an_equal_top_n_model() -> None:
    data = planted_data()
    model, logged = fitted(BiasedMF, data, init_std=0.3)
    factors = MF(data.num_users, data.num_items - 1, embedding_dim=66, similarity="dot", cutoffs=CUTOFFS)
    with torch.no_grad():
        # p . q + b_u + b_i as one product; the global bias ranks nothing.
        p, b_u = model.user_embedding.weight, model.user_bias.weight
        q, b_i = model.item_embedding.weight, model.item_bias.weight
        factors.user_embedding.weight.copy_(torch.cat([p, b_u, torch.ones_like(b_u)], dim=1))
        factors.item_embedding.weight.copy_(torch.cat([q, torch.ones_like(b_i), b_i], dim=1)[1:])
        for batch in data.catalogues("test"):
            factors.test_step(batch)
    for name, value in factors.metrics.compute().items():
        assert logged[f"test/{name}"] == pytest.approx(float(value), abs=1e-6), name


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("options", [{}, {"hidden_features": []}, {"batch_norm": False}])
def test_logits_of_a_catalogue_are_those_of_its_pairs(kind: type[Recommender], options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    options = {} if kind is BiasedMF else options
    model = kind(9, 7, init_std=1.0, **options).eval()
    user = torch.tensor([4, 0, 8])
    with torch.no_grad():
        found = model.catalogue_logits(user)
        torch.testing.assert_close(found, Recommender.catalogue_logits(model, user))
        for row, item in ((0, 6), (2, 0)):
            torch.testing.assert_close(found[row, item], model(user[row : row + 1], torch.tensor([item]))[0])


def test_large_catalogues_are_scored_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = DeepMF(9, 7, init_std=1.0).eval()
    user = torch.arange(9)
    with torch.no_grad():
        whole = model.catalogue_logits(user)
        for module in ("base", "deep_mf"):
            monkeypatch.setattr(f"lightning_modules.recommenders.{module}.PAIRS", 20)
        for parts in (model.catalogue_logits(user), Recommender.catalogue_logits(model, user)):
            torch.testing.assert_close(parts, whole)


def rows(*triples: tuple[int, int, float]) -> Batch:
    user, item, label = zip(*triples, strict=True)
    return Batch(torch.tensor(user), torch.tensor(item), torch.tensor(label))


def pairs(values: Tensor) -> list[list[int]]:
    return values.T.tolist()


def test_what_is_not_known_not_chosen_or_not_new_is_left_out() -> None:
    train = rows((1, 1, 1.0), (1, 2, 0.0), (2, 3, 1.0), (1, 1, 1.0))
    held_out = rows((1, 3, 1.0), (1, 2, 1.0), (2, 1, 0.0), (2, 0, 1.0), (0, 1, 1.0), (1, 3, 1.0))
    (batch,) = catalogue_loader(train, held_out, 3, 4)
    assert batch.user.tolist() == [1]
    assert pairs(batch.seen) == [[0, 0], [0, 1]]
    assert pairs(batch.relevant) == [[0, 2]]
    with pytest.raises(ValueError, match="none of the 5 held-out rows can be found in the catalogue"):
        catalogue_loader(train, rows((1, 2, 1.0), (2, 1, 0.0), (2, 0, 1.0), (0, 1, 1.0), (1, 1, 1.0)), 3, 4)


def test_data_whose_rows_are_held_out_anew_have_their_own_catalogues() -> None:
    data = planted_data()
    before = data.catalogues("validation")
    assert data.catalogues("validation") is before
    other = data.hold_out(0.3, seed=0)
    assert len(other.catalogues("validation").relevant.item) > len(before.relevant.item)
    assert len(data.catalogues("validation").relevant.item) == len(before.relevant.item)


def test_without_cutoffs_no_catalogue_is_ranked() -> None:
    data = planted_data()
    trainer = quiet_trainer(max_epochs=1)
    trainer.fit(build(BiasedMF, data), datamodule=data)
    assert not [name for name in trainer.callback_metrics if "@" in name]


def test_cutoffs_without_catalogues_are_refused() -> None:
    data = planted_data()
    data.setup("fit")
    message = r"is to rank catalogues \(cutoffs \[5\]\), and the Trainer has no data module"
    with pytest.raises(MisconfigurationException, match=message):
        quiet_trainer(max_epochs=1).fit(build(BiasedMF, data, cutoffs=[5]), data.train_dataloader())
    with pytest.raises(ValueError, match="cut-offs of at least 1"):
        build(BiasedMF, data, cutoffs=[])


def test_populations_and_kernels_leave_models_with_cutoffs_to_trainers() -> None:
    model = BiasedMF(5, 4, cutoffs=[2])
    with pytest.raises(UnmatchedError, match="BiasedMF has cutoffs"):
        check_fused(model)
    with pytest.raises(UnmatchedError, match="BiasedMF has cutoffs"):
        check_decisive_methods(model, stacked.registry)
