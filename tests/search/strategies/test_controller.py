import itertools
from collections import defaultdict

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from lightning_modules.search.space import Programs, SearchSpace
from lightning_modules.search.strategies.controller import Controller
from tests.search.search_helpers import assert_valid, equal, full_space, seeded

SMALL = SearchSpace(["add", "log", "max"], nodes=2)


def decided(space: SearchSpace, seed: int = 0, scale: float = 8.0) -> Controller:
    """Return a controller in double precision whose large weights make some decisions far likelier than others."""
    controller = Controller(space, hidden_size=16, generator=seeded(seed)).double()
    with torch.no_grad():
        for parameter in controller.parameters():
            parameter.mul_(scale)
    return controller


def all_programs(space: SearchSpace) -> Programs:
    """Return every program once; the operands of commutative operators count in one order only."""
    by_node = []
    for node in range(space.nodes):
        earlier = range(len(space.leaves) + node)
        pairs, singles = list(itertools.combinations(earlier, 2)), [(operand, operand) for operand in earlier]
        outcomes = [
            (number, pairs if operator.arity == 2 else singles) for number, operator in enumerate(space.operators)
        ]
        by_node.append([(number, operands) for number, choices in outcomes for operands in choices])
    programs = list(itertools.product(*by_node))
    operators = torch.tensor([[operator for operator, _ in program] for program in programs])
    return Programs(operators, torch.tensor([[operands for _, operands in program] for program in programs]))


def rows(programs: Programs) -> list[tuple[int, ...]]:
    """Return every program as one key, with the operands in rising order."""
    columns = [programs.operators, programs.operands.sort(-1).values.flatten(1)]
    return list(map(tuple, torch.cat(columns, dim=1).tolist()))


def test_the_probabilities_of_all_programs_sum_to_one() -> None:
    programs = all_programs(SMALL)
    assert len(programs) == (3 + 3 + 3) * (6 + 4 + 6)
    probability = decided(SMALL).likelihoods(programs).log_probability.sum((1, 2)).exp()
    assert probability.sum().item() == pytest.approx(1, abs=1e-6)
    assert probability.max() > 5 * probability.median()


@pytest.mark.parametrize("node", [0, 1])
def test_the_probabilities_of_all_decisions_of_a_node_sum_to_one(node: int) -> None:
    programs = all_programs(SMALL)
    log_probability = decided(SMALL).likelihoods(programs).log_probability.detach()
    operators: dict[tuple, dict[int, float]] = defaultdict(dict)
    operands: dict[tuple, dict[tuple, float]] = defaultdict(dict)
    for row in range(len(programs)):
        past = tuple(
            programs[row : row + 1].operators[0, :node].tolist() + programs.operands[row, :node].flatten().tolist()
        )
        operator = int(programs.operators[row, node])
        operators[past][operator] = log_probability[row, node, 0].exp().item()
        operands[*past, operator][tuple(programs.operands[row, node].tolist())] = (
            log_probability[row, node, 1].exp().item()
        )
    assert len(operators) == (1, 9)[node]
    sums = [sum(each.values()) for each in operators.values()] + [sum(each.values()) for each in operands.values()]
    assert sums == pytest.approx([1] * len(sums), abs=1e-6)


@pytest.mark.parametrize("tanh_constant", [1.0, 4.0, 7.0, 12.0, 100.0])
def test_probabilities_of_pairs_sum_to_one_however_certain_the_policy(tanh_constant: float) -> None:
    controller = Controller(SMALL, 8, tanh_constant, seeded())
    positions = 5
    bounds = torch.tensor([1.0, -1.0, -1.0, 0.3, -0.8], dtype=torch.float64)
    logits = (tanh_constant * bounds).log_softmax(-1)[None, :, None]
    pairs = torch.combinations(torch.arange(positions))
    ordered = torch.cat([pairs, pairs.flip(1)])
    commutative = SMALL.commutative & SMALL.binary
    for which, operands in ((commutative, pairs), (~SMALL.commutative & SMALL.binary, ordered)):
        for operator in which.nonzero().squeeze(1):
            chosen = operator.expand(len(operands))
            logarithm = controller._operands_log_probability(
                logits.expand(-1, -1, len(operands)), chosen[None], operands.t()[None]
            )
            assert logarithm.exp().sum().item() == pytest.approx(1, abs=1e-12)
            assert logarithm.isfinite().all()


def test_draws_are_as_frequent_as_their_scores_say() -> None:
    controller, count = decided(SMALL), 60_000
    programs = all_programs(SMALL)
    probability = controller.likelihoods(programs).log_probability.sum((1, 2)).exp().detach()
    number = {key: row for row, key in enumerate(rows(programs))}
    drawn = torch.tensor([number[key] for key in rows(controller.sample(count, seeded(1)))])
    counts = torch.bincount(drawn, minlength=len(programs)).double()
    standard_error = (probability * (1 - probability) / count).sqrt()
    assert ((counts / count - probability).abs() < 5 * standard_error + 1 / count).all()
    often = count * probability >= 5
    observed = torch.cat([counts[often], counts[~often].sum()[None]])
    expected = torch.cat([probability[often], probability[~often].sum()[None]]) * count
    assert chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3


@pytest.mark.parametrize("space", [SearchSpace(), full_space(nodes=4), SearchSpace(["add"], ["pred", "label"], 2)])
def test_samples_are_valid_and_their_operands_differ(space: SearchSpace) -> None:
    assert_valid(decided(space).sample(500, seeded()), space, 500)


def test_a_seed_determines_weights_and_samples() -> None:
    space = SearchSpace()
    first, second = (Controller(space, generator=seeded(5)) for _ in range(2))
    assert equal(first.sample(20, seeded(1)), second.sample(20, seeded(1)))
    assert not equal(first.sample(20, seeded(1)), first.sample(20, seeded(2)))


def test_scores_do_not_depend_on_the_rest_of_the_batch_nor_on_the_order_of_the_operands() -> None:
    controller = decided(full_space(nodes=5))
    programs = controller.sample(30, seeded())
    likelihoods = controller.likelihoods(programs)
    alone = controller.likelihoods(programs[7:8])
    swapped = controller.likelihoods(Programs(programs.operators, programs.operands.flip(-1)))
    assert likelihoods.log_probability.shape == likelihoods.entropy.shape == (30, 5, 2)
    torch.testing.assert_close(likelihoods.log_probability[7:8], alone.log_probability)
    torch.testing.assert_close(likelihoods.log_probability, swapped.log_probability)
    torch.testing.assert_close(likelihoods.entropy, swapped.entropy)


def test_later_decisions_do_not_change_earlier_scores() -> None:
    controller = decided(full_space(nodes=5))
    programs = controller.sample(30, seeded())
    other = Programs(programs.operators.clone(), programs.operands.clone())
    other.operators[:, 3:] = 4
    other.operands[:, 3:] = 0
    log_probability, changed = (controller.likelihoods(each).log_probability for each in (programs, other))
    torch.testing.assert_close(log_probability[:, :3], changed[:, :3])
    assert not torch.allclose(log_probability[:, 3:], changed[:, 3:])


def first_node(controller: Controller) -> tuple[Tensor, Tensor, Programs]:
    programs = all_programs(SMALL)
    likelihoods = controller.likelihoods(programs).log_probability[:, 0].detach()
    return likelihoods[:, 0], likelihoods[:, 1], programs


@pytest.mark.parametrize("seed", range(3))
def test_greedy_decisions_are_the_most_probable_ones(seed: int) -> None:
    controller = decided(SMALL, seed)
    greedy = controller.sample(20, seeded(), sample_operators=False, sample_operands=False)
    assert len(set(rows(greedy))) == 1
    by_operator, by_operands, programs = first_node(controller)
    chosen = controller.likelihoods(greedy).log_probability[0, 0]
    assert chosen[0].item() == pytest.approx(by_operator.max().item())
    same_operator = programs.operators[:, 0] == greedy.operators[0, 0]
    assert chosen[1].item() == pytest.approx(by_operands[same_operator].max().item())


def test_operators_and_operands_are_greedy_separately() -> None:
    controller = decided(SMALL)
    operators = controller.sample(300, seeded(), sample_operators=False)
    assert len(operators.operators[:, 0].unique()) == 1
    assert len(operators.operands[:, 0].unique(dim=0)) > 1
    operands = controller.sample(300, seeded(), sample_operands=False)
    assert len(operands.operators[:, 0].unique()) == 3
    for operator in range(3):
        assert len(operands.operands[operands.operators[:, 0] == operator, 0].unique(dim=0)) == 1


def test_entropies_are_those_of_the_distributions_drawn_from() -> None:
    controller = decided(SMALL)
    programs = all_programs(SMALL)
    entropy = controller.likelihoods(programs).entropy.detach()
    by_operator, by_operands, _ = first_node(controller)
    operators = torch.stack([by_operator[programs.operators[:, 0] == operator][0] for operator in range(3)])
    torch.testing.assert_close(entropy[:, 0, 0], (-operators.exp() * operators).sum().expand(len(programs)))
    logarithm = programs.operators[:, 0] == 1
    operands = torch.stack(
        [by_operands[logarithm & (programs.operands[:, 0, 0] == operand)][0] for operand in range(3)]
    )
    expected = (-operands.exp() * operands).sum().expand(int(logarithm.sum()))
    torch.testing.assert_close(entropy[logarithm, 0, 1], expected)


def test_every_parameter_learns_from_the_scores() -> None:
    controller = Controller(SearchSpace(), generator=seeded())
    programs = controller.sample(32, seeded())
    controller.likelihoods(programs).log_probability.sum((1, 2)).mean().backward()
    for name, parameter in controller.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_raising_the_score_of_a_program_makes_it_the_usual_draw() -> None:
    controller = Controller(SMALL, hidden_size=16, generator=seeded())
    wanted = all_programs(SMALL)[50:51]
    optimizer = torch.optim.Adam(controller.parameters(), 0.03)
    for _ in range(150):
        optimizer.zero_grad()
        (-controller.likelihoods(wanted).log_probability.sum()).backward()
        optimizer.step()
    drawn = rows(controller.sample(500, seeded()))
    assert drawn.count(rows(wanted)[0]) / 500 > 0.75
