"""The model of graph layouts: messages, rollouts, objectives against loops, enumeration and finite differences."""

import math

import pytest
import torch
from torch.func import functional_call
from trainings import gradient, parameters

from structgrad.experiments import REGISTRY
from structgrad.experiments.paulus.graph_layout import messages as messages_module
from structgrad.experiments.paulus.graph_layout.decoder import Decoder, rollout
from structgrad.experiments.paulus.graph_layout.edges import EDGES
from structgrad.experiments.paulus.graph_layout.layers import Block
from structgrad.experiments.paulus.graph_layout.messages import messages, plain_messages
from structgrad.experiments.paulus.graph_layout.objective import ESTIMATORS, Nvil, nll
from structgrad.experiments.paulus.graph_layout.pairs import directed
from structgrad.noise import Gumbel
from structgrad.parallel import set_threads
from structgrad.training.trial import DivergedError

TABLE = REGISTRY["paulus_1"]
KINDS = tuple(EDGES)


@pytest.fixture(autouse=True)
def _double():
    set_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def model(kind, estimator="softmax", frames=4, steps=1, temperature=1.0, n=4, width=5, seed=0, **changes):
    arm = kind if estimator == "softmax" else f"{estimator}_{kind}"
    config = parameters(TABLE, arm, "T=10", {"vertices": n, "width": width} | changes)
    return ESTIMATORS[estimator](config, frames, steps, temperature, seeded(seed))


def trajectories(batch=3, n=4, frames=4, seed=9):
    return torch.rand(batch, n, frames, 2, generator=seeded(seed)) * 2 - 1


# Messages


def loop_messages(halves, weight, second, bias):
    graphs, n, types, _, h = halves.shape
    out = torch.zeros(graphs, n, h)
    for g in range(graphs):
        edge = 0
        for i in range(n):
            for j in range(n):
                if i == j:
                    continue
                for e in range(types):
                    hidden = torch.relu(halves[g, j, e, 0] + halves[g, i, e, 1])
                    out[g, i] = out[g, i] + weight[g, edge, e] * torch.relu(second[e] @ hidden + bias[e])
                edge += 1
    return out


@pytest.mark.parametrize("compute", [messages, plain_messages])
@pytest.mark.parametrize("block", [1, 2**18])
def test_messages_and_their_gradients_are_those_of_a_loop(compute, block, monkeypatch):
    monkeypatch.setattr(messages_module, "BLOCK", block)  # one graph a block, all of them
    draw = seeded(1)
    shapes = ((5, 4, 2, 2, 3), (5, 12, 2), (2, 3, 3), (2, 3))
    arguments = [torch.randn(shape, generator=draw).requires_grad_() for shape in shapes]
    total, expected = compute(*arguments), loop_messages(*arguments)
    torch.testing.assert_close(total, expected, rtol=1e-12, atol=1e-12)
    direction = torch.randn(total.shape, generator=draw)
    gradients = zip(*(torch.autograd.grad(y, arguments, direction) for y in (total, expected)), strict=True)
    for mine, theirs in gradients:
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        assert compute(*arguments).equal(total)


def test_messages_are_differentiated_once_and_no_more():
    """The backward pass works in the memory of what it reads."""
    arguments = [torch.ones(s, requires_grad=True) for s in ((1, 3, 2, 2, 2), (1, 6, 2), (2, 2, 2), (2, 2))]
    total = messages(*arguments).sum()
    torch.autograd.grad(total, arguments, retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace"):
        torch.autograd.grad(total, arguments)


def test_messages_in_single_precision_are_those_of_double():
    draw = seeded(1)
    arguments = [torch.randn(s, generator=draw) for s in ((40, 10, 2, 2, 16), (40, 90, 2), (2, 16, 16), (2, 16))]
    single = messages(*(x.float() for x in arguments))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), messages(*arguments), rtol=1e-4, atol=1e-4)


def test_a_layer_on_pairs_is_the_one_on_concatenated_pairs():
    block = Block(2 * 3 + 2, 6, seeded(1))
    vertices, edges = torch.randn(5, 4, 3, generator=seeded(2)), torch.randn(5, 12, 2, generator=seeded(3))
    senders, receivers = directed(4)
    pairs = torch.cat([vertices[:, senders], vertices[:, receivers], edges], -1)
    torch.testing.assert_close(block.of_pairs(vertices, edges), block(pairs), rtol=1e-11, atol=1e-11)


def test_initial_weights_are_the_published_kinds():
    for name, parameter in model("spanning_tree", width=200).state_dict().items():
        if "running" in name or "tracked" in name:
            continue
        part, *_, kind = name.split(".")
        if "norm" in name:
            assert (parameter == float(kind == "weight")).all()
        elif part == "encoder" and kind == "bias":
            assert (parameter == 0.1).all()
        elif part == "encoder":
            expected = math.sqrt(2 / sum(parameter.shape))
            assert float(parameter.std()) == pytest.approx(expected, rel=5 / math.sqrt(2 * parameter.numel()))
        elif kind == "weight" or kind.endswith("_weight"):
            bound = 1 / math.sqrt(parameter.shape[-1])
            assert bound * 0.9 < float(parameter.abs().max()) <= bound
            deviation = bound / math.sqrt(3)
            assert float(parameter.std()) == pytest.approx(deviation, rel=5 / math.sqrt(2 * parameter.numel()))


# Rollout


@pytest.mark.parametrize(("frames", "steps"), [(4, 1), (6, 5), (7, 3), (6, 3), (3, 9)])
def test_a_rollout_starts_anew_from_every_so_many_true_frames(frames, steps):
    decoder, x = Decoder(5, seeded(1)), trajectories(2, 4, frames)
    weight = torch.rand(2, 12, 2, generator=seeded(2))
    expected, at = [], None
    for t in range(frames - 1):
        at = decoder(x[:, :, t] if t % steps == 0 else at, weight)
        expected.append(at)
    torch.testing.assert_close(rollout(decoder, x, weight, steps), torch.stack(expected, 2), rtol=1e-12, atol=1e-12)


def test_a_decoder_without_weights_still_moves_each_vertex_by_itself_and_types_are_not_alike():
    decoder, x = Decoder(5, seeded(1)), trajectories()[:, :, 0]
    none = torch.zeros(3, 12, 2)
    moved = x.clone()
    moved[:, 1] += 1
    assert decoder(x, none)[:, 0].equal(decoder(moved, none)[:, 0])
    first, second = none.clone(), none.clone()
    first[..., 0], second[..., 1] = 1, 1
    assert not torch.allclose(decoder(x, first), decoder(x, second))


def test_the_error_of_a_graph_is_ten_thousand_squared_errors_a_vertex():
    frames = trajectories(3, 5, 4)
    predicted = frames[:, :, 1:].clone()
    predicted[1, 2, 0, 1] += 0.01
    predicted[1, 4, 2, 0] -= 0.02
    torch.testing.assert_close(nll(predicted, frames), torch.tensor([0, 1e4 * 5e-4 / 5, 0]), rtol=1e-9, atol=1e-12)


# Edges


def gumbel_kl(location):
    """KL(Gumbel(location) || Gumbel(0)) by quadrature."""
    x = torch.linspace(-8, 60, 400_001) + location
    p = Gumbel(centred=False).log_density(x - location)
    return float(torch.trapezoid(p.exp() * (p - Gumbel(centred=False).log_density(x)), x))


@pytest.mark.parametrize("kind", KINDS)
def test_the_divergence_counts_every_directed_edge_a_vertex(kind):
    edges = EDGES[kind](4, 1.0)
    logits = torch.randn(2, 12, edges.logits, generator=seeded(1))
    scores = edges.scores(logits)
    if edges.logits == 1:  # the directed copies of the symmetric scores
        matrix = torch.zeros(2, 4, 4)
        senders, receivers = directed(4)
        matrix[:, receivers, senders] = logits[..., 0]
        logits = ((matrix + matrix.mT) / 2)[:, receivers, senders].unsqueeze(-1)
    expected = [sum(gumbel_kl(u) for u in item.flatten().tolist()) / 4 for item in logits]
    assert edges.kl(scores).tolist() == pytest.approx(expected, rel=1e-6)
    utilities = scores + 0.3
    density = Gumbel(centred=False).log_density(torch.tensor(0.3)) * logits[0].numel()
    assert edges.log_prob(utilities, scores).tolist() == pytest.approx([float(density)] * 2)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_means_over_structures_in_training_and_structures_in_evaluation(kind):
    edges = EDGES[kind](4, 0.7)
    scores = edges.scores(torch.randn(6, 12, edges.logits, generator=seeded(1)))
    soft, hard = edges.train()(scores, seeded(2)), edges.eval()(scores, seeded(2))
    utilities = scores + Gumbel(centred=False).sample(scores.shape, seeded(2), torch.float64)
    structures = edges.layer.polytope.vertices()
    values = utilities @ structures.T
    expected = edges.weights(torch.softmax(values / 0.7, -1) @ structures)
    torch.testing.assert_close(soft, expected, rtol=1e-9, atol=1e-9)
    assert hard.equal(edges.weights(structures[values.argmax(-1)]))
    assert (hard.sum(-1) == 1).all()
    if kind != "indep_directed":  # of the second type, each edge in both directions
        assert (hard[..., 1].sum(-1) == 2 * 3).all()
    again, weights = edges.hard(scores, seeded(2))
    assert again.equal(utilities)
    assert weights.equal(hard)


def test_top_edges_may_be_differentiated_by_differences():
    exact, rough = model("top_k", temperature=0.5), model("top_k", temperature=0.5, difference=1e-5)
    gradients = []
    for one in (exact, rough):
        one(trajectories(), seeded(3)).backward()
        gradients.append(one.encoder.out.weight.grad)
    assert not gradients[0].equal(gradients[1])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-3 * float(gradients[0].abs().max()))


# Objectives


def hard_loss(one, frames, utilities, scores):
    weights = one.edges.weights(one.edges.layer.polytope.argmax(utilities))
    return one.error(frames, weights, one.steps) + one.edges.kl(scores)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("estimator", ["reinforce", "nvil"])
def test_the_score_function_weighs_the_error_by_the_baseline(kind, estimator):
    """The gradient in closed form: of the loss at the drawn edges, and of the log-density times the error's excess."""
    one, frames = model(kind, estimator, samples=2), trajectories()
    twin = model(kind, estimator, samples=2)
    value = one(frames, seeded(5))
    value.backward()
    scores, features = twin.infer(frames)
    utilities = scores.detach() + Gumbel(centred=False).sample((2, *scores.shape), seeded(5), torch.float64)
    error = torch.stack([hard_loss(twin, frames, u, scores) - twin.edges.kl(scores) for u in utilities])
    density = torch.stack([twin.edges.log_prob(u, scores) for u in utilities])
    excess = error.detach() - 0.01 * error.detach().mean()  # the moving average, moved once
    expected = error + twin.edges.kl(scores)
    if estimator == "nvil":
        assert isinstance(twin, Nvil)
        prediction = twin.baseline.network(features).squeeze(-1)
        expected = expected + (excess - prediction) ** 2 / 4
        excess = excess - prediction.detach()
    assert float(value.detach()) == pytest.approx(float(expected.mean().detach()))
    (expected + excess * density).mean().backward()
    for (name, parameter), other in zip(one.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-9, atol=1e-9, msg=name)


def test_reinforce_is_unbiased_for_directed_edges():
    """With every utility counted once, its mean is the derivative of the expected loss, by a fixed grid of draws."""
    one = model("indep_directed", "reinforce", n=2, width=3, frames=3, baseline="leave_one_out", samples=4000)
    frames = trajectories(1, 2, 3)
    one.encoder.eval()  # normalisation by a batch of one graph would tie the items together
    parameter = one.encoder.out.bias

    def expected_error(shift):
        logits = one.infer(frames)[0].detach() + shift
        chance = torch.softmax(logits, -1)[0]  # of each type, edge by edge: the largest utility
        total = 0.0
        for a in range(2):
            for b in range(2):
                weights = torch.nn.functional.one_hot(torch.tensor([[a, b]]), 2).double()
                total = total + chance[0, a] * chance[1, b] * one.error(frames, weights, 1)[0]
        return total + one.edges.kl(logits)[0]

    shift = torch.zeros(2, requires_grad=True)
    (wanted,) = torch.autograd.grad(expected_error(shift), shift)
    draws = []
    for seed in range(30):
        one.zero_grad()
        one(frames, seeded(seed)).backward()
        draws.append(gradient(parameter).clone())
    gradients = torch.stack(draws)
    error = gradients.std(0) / len(draws) ** 0.5
    assert ((gradients.mean(0) - wanted).abs() < 5 * error).all()
    assert (error < 0.1 * wanted.abs().max()).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [1, 3])
def test_gradients_are_differences_of_the_loss(kind, steps):
    one, frames = model(kind, temperature=2.0, steps=steps, seed=3), trajectories()
    loss = one(frames, seeded(4))
    loss.backward()
    for name, parameter in one.named_parameters():
        direction = torch.randn(parameter.shape, generator=seeded(len(name)))
        values = []
        for sign in (-1, 1):
            moved = {name: parameter.detach() + sign * 1e-6 * direction}
            values.append(float(functional_call(one, moved, (frames, seeded(4))).detach()))
        slope = (values[1] - values[0]) / 2e-6
        assert float((gradient(parameter) * direction).sum()) == pytest.approx(
            slope, rel=1e-4, abs=1e-4 * float(loss.detach())
        )


def test_scores_that_are_not_finite_are_a_divergence():
    one = model("spanning_tree")
    with torch.no_grad():
        one.encoder.out.bias.fill_(math.nan)
    with pytest.raises(DivergedError, match="logit"):
        one(trajectories(), seeded(1))
