"""Models that score by vectors: their formulas, and the scores of a training batch."""

import numpy as np
import pytest
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException

from datamodules import TopNBatch
from lightning_modules.layers import graph as graph_module
from lightning_modules.layers.graph import InteractionGraph
from lightning_modules.losses import SampledSoftmax
from lightning_modules.recommenders import MF, LightGCN, TopNRecommender

USERS, ITEMS = 5, 7
PAIRS = torch.tensor([(0, 1), (0, 4), (1, 4), (2, 0), (2, 1), (2, 6), (4, 3)]).T


def built(kind: type[TopNRecommender], similarity: str = "dot", num_items: int = ITEMS) -> TopNRecommender:
    torch.manual_seed(3)
    model = kind(USERS, num_items, embedding_dim=4, init_std=1.0, similarity=similarity, loss=SampledSoftmax())
    if isinstance(model, LightGCN):
        model.build_graph(*PAIRS)
    return model.double()


every_model = pytest.mark.parametrize("kind", [MF, LightGCN])
every_similarity = pytest.mark.parametrize("similarity", ["dot", "cosine"])


def normalised(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def propagated(model: LightGCN) -> np.ndarray:
    adjacency = np.zeros((USERS + ITEMS, USERS + ITEMS))
    for user, item in PAIRS.T.tolist():
        adjacency[user, USERS + item] = adjacency[USERS + item, user] = 1
    degree = adjacency.sum(axis=1)
    scale = np.diag([1 / np.sqrt(each) if each else 0 for each in degree])
    layers = [np.concatenate([each.weight.detach().numpy() for each in (model.user_embedding, model.item_embedding)])]
    for _ in range(model.num_layers):
        layers.append(scale @ adjacency @ scale @ layers[-1])
    return np.mean(layers, axis=0)


@every_similarity
def test_mf_is_its_formula(similarity: str) -> None:
    model = built(MF, similarity)
    users, items = (each.weight.detach().numpy() for each in (model.user_embedding, model.item_embedding))
    if similarity == "cosine":
        users, items = normalised(users), normalised(items)
    np.testing.assert_allclose(model.scorer()(torch.tensor([3, 0])).detach(), users[[3, 0]] @ items.T)


@every_similarity
@pytest.mark.parametrize("num_layers", [0, 1, 3])
def test_lightgcn_is_its_formula(similarity: str, num_layers: int) -> None:
    model = built(LightGCN, similarity)
    model.num_layers = num_layers
    vectors = propagated(model)
    users, items = vectors[:USERS], vectors[USERS:]
    if similarity == "cosine":
        users, items = normalised(users), normalised(items)
    np.testing.assert_allclose(model.scorer()(torch.tensor([3, 0])).detach(), users[[3, 0]] @ items.T, rtol=1e-6)


def test_the_gradient_goes_through_the_propagation() -> None:
    graph = InteractionGraph(*PAIRS, USERS, ITEMS).double()
    vectors = torch.randn(USERS + ITEMS, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda each: graph(graph(each)), (vectors,))


@pytest.mark.parametrize("share", [0.0, 1.0], ids=["all edges", "edges of the nodes"])
@pytest.mark.parametrize("is_compiled", [False, True])
@pytest.mark.parametrize("node", [[0, 3, 6, 9], [8], [3], [], [*range(USERS + ITEMS)]], ids=str)
def test_sums_of_and_from_some_nodes_are_parts_of_those_of_all(
    share: float, is_compiled: bool, node: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_module, "_LARGEST_SHARE", share)
    monkeypatch.setattr(graph_module, "is_available", lambda: is_compiled)
    graph = InteractionGraph(*PAIRS, USERS, ITEMS).double()
    vectors, nodes = torch.randn(USERS + ITEMS, 3, dtype=torch.float64), torch.tensor(node, dtype=torch.int64)
    matrix = graph(torch.eye(USERS + ITEMS, dtype=torch.float64))
    torch.testing.assert_close(graph.sums_of(vectors, nodes), (matrix @ vectors)[nodes])
    torch.testing.assert_close(graph.sums_from(vectors[nodes], nodes), matrix[:, nodes] @ vectors[nodes])


@pytest.mark.parametrize("num_layers", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", ["float", "double"])
def test_a_batch_has_the_vectors_and_gradients_of_the_whole_graph(
    num_layers: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_module, "_LARGEST_SHARE", 1.0)
    model = getattr(built(LightGCN, "cosine"), kind)()
    model.num_layers = num_layers
    user, item = torch.tensor([2, 0, 2]), torch.tensor([6, 0, 0, 4])
    outcomes = []
    for sides in (model(user, item), [each[rows] for each, rows in zip(model(None, None), (user, item), strict=True)]):
        model.zero_grad()
        (sides[0] @ sides[1].T).square().sum().backward()
        outcomes.append([*sides, *(each.grad.clone() for each in model.parameters())])
    for each, other in zip(*outcomes, strict=True):
        torch.testing.assert_close(each, other)


def batch_of(*, shared: bool, log_q: bool = False) -> TopNBatch:
    """Return rows whose shared negatives are replaced, or the same rows with negatives of their own."""
    user, item = torch.tensor([0, 2, 4]), torch.tensor([1, 6, 3])
    negative, replaced = torch.tensor([4, 2, 0, 5]), torch.tensor([[0, 1], [0, 2], [1, 3]])
    log = torch.tensor([-1.0, -2.0, -3.0, -4.0], dtype=torch.float64)
    nothing = torch.empty(0, dtype=torch.float64)
    if shared:
        return TopNBatch(user, item, negative, replaced, log if log_q else nothing)
    place = torch.arange(4).repeat(3, 1)
    place[0, 0], place[1, 2] = 1, 3
    return TopNBatch(
        user, item, negative[place], torch.empty(3, 0, dtype=torch.int64), log[place] if log_q else nothing
    )


@every_model
@every_similarity
@pytest.mark.parametrize("log_q", [False, True])
# With more items than the batch has negatives, the vectors of these alone are made.
@pytest.mark.parametrize("num_items", [ITEMS, 40])
def test_shared_negatives_score_as_each_rows_own(
    kind: type[TopNRecommender],
    similarity: str,
    log_q: bool,
    num_items: int,
) -> None:
    model = built(kind, similarity, num_items)
    found = [model.scored(batch_of(shared=shared, log_q=log_q)) for shared in (True, False)]
    for name, each, other in zip(found[0]._fields, *found, strict=True):
        assert torch.equal(each, other) or torch.allclose(each, other), name
    gradients = []
    for scored in found:
        model.zero_grad()
        model.loss.of_batch(scored).mean().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for each, other in zip(*gradients, strict=True):
        torch.testing.assert_close(each, other)
        assert each.abs().sum() > 0


@every_model
@every_similarity
def test_training_scores_are_those_of_the_evaluation(kind: type[TopNRecommender], similarity: str) -> None:
    model = built(kind, similarity)
    batch = batch_of(shared=True)
    scored, scores = model.scored(batch), model.scorer()(batch.user)
    own = batch_of(shared=False).negative
    torch.testing.assert_close(scored.positive, scores.gather(1, batch.item[:, None]).squeeze(1))
    torch.testing.assert_close(scored.negative, scores.gather(1, own))
    torch.testing.assert_close((scored.user_vector * scored.item_vector).sum(dim=1), scored.positive)


def test_the_graph_is_no_part_of_a_checkpoint() -> None:
    assert set(built(LightGCN).state_dict()) == {"user_embedding.weight", "item_embedding.weight"}


def test_lightgcn_without_a_graph_says_so() -> None:
    with pytest.raises(MisconfigurationException, match="has no graph yet"):
        LightGCN(USERS, ITEMS).scorer()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"similarity": "cosin"}, "dot or cosine, got 'cosin'"), ({"cutoffs": ()}, "cut-offs"), ({"init_std": -1}, "-1")],
)
def test_impossible_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MF(USERS, ITEMS, **options)


def test_negative_layers_and_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="got -1"):
        LightGCN(USERS, ITEMS, num_layers=-1)
    with pytest.raises(ValueError, match="num_items=0"):
        MF(USERS, 0)
