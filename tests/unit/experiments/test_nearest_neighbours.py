"""indelman Table 2, the parts: distances, exact neighbours, losses, networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipys import same_distribution
from sklearn.neighbors import KNeighborsClassifier
from torch.nn.functional import cross_entropy

from structgrad.experiments.indelman.nearest_neighbours.distances import euclidean, squared
from structgrad.experiments.indelman.nearest_neighbours.losses import Batch, Classification, Direct, SoftTopK
from structgrad.experiments.indelman.nearest_neighbours.neighbours import classify
from structgrad.experiments.indelman.nearest_neighbours.networks import EMBEDDINGS, Network, sigma_net
from structgrad.experiments.indelman.nearest_neighbours.stream import Stream
from structgrad.noise import Gumbel
from structgrad.polytopes.subset import Subset
from structgrad.training.initial import initialise


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def points(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


# Distances


def test_distances_are_cdists_and_so_are_their_gradients():
    q, c = points(5, 7).requires_grad_(), points(9, 7, seed=1).requires_grad_()
    weights = points(5, 9, seed=2)
    for ours, theirs in ((euclidean(q, c), torch.cdist(q, c)), (squared(q, c), torch.cdist(q, c) ** 2)):
        torch.testing.assert_close(ours, theirs)
        for mine, other in zip(
            torch.autograd.grad(ours, (q, c), weights), torch.autograd.grad(theirs, (q, c), weights), strict=True
        ):
            torch.testing.assert_close(mine, other)


def test_a_few_gradients_are_as_good_as_all():
    q, c = points(5, 7).requires_grad_(), points(9, 7, seed=1).requires_grad_()
    few = torch.zeros(5, 9, dtype=torch.float64)
    few[1, 2], few[1, 8], few[4, 2] = 1.0, -2.0, 3.0
    for weights in (few, torch.zeros_like(few)):
        ours = torch.autograd.grad(euclidean(q, c), (q, c), weights)
        for mine, other in zip(ours, torch.autograd.grad(torch.cdist(q, c), (q, c), weights), strict=True):
            torch.testing.assert_close(mine, other)
    assert torch.autograd.gradcheck(euclidean, (q, c))


def test_a_candidate_that_is_the_query_has_distance_and_derivative_zero():
    same = (100 + points(4, 500).float()).requires_grad_()
    distances = euclidean(same, same)
    assert distances.diagonal().eq(0).all()
    (gradient,) = torch.autograd.grad(distances.diagonal().sum(), same)
    assert gradient.eq(0).all()
    (gradient,) = torch.autograd.grad(euclidean(same, same).sum(), same)
    assert torch.isfinite(gradient).all()


# Exact neighbours


@pytest.mark.parametrize("k", [1, 3, 5, 9])
def test_the_class_is_that_of_scikit_learn(k):
    stored, queries = points(400, 6), points(150, 6, seed=1)
    labels = torch.randint(10, (400,), generator=generator(2))
    theirs = KNeighborsClassifier(k, algorithm="kd_tree").fit(stored, labels).predict(queries)
    for memory in (1 << 28, 1, 24 * 400 * 7):  # all at once, one by one, seven at a time
        assert classify(queries, stored, labels, k, memory).tolist() == theirs.tolist()


def test_of_equally_near_rows_the_first_are_taken_and_of_classes_the_smallest():
    rows = torch.rand(3, 500, generator=generator())
    stored = rows.repeat(20, 1)  # sixty rows at three places
    labels = torch.cat([torch.full((3,), 7), torch.full((3,), 4), torch.full((54,), 2)])
    queries = torch.cat([rows, rows + 1e-9])
    assert classify(queries, stored, labels, 1).tolist() == [7] * 6
    assert classify(queries, stored, labels, 2).tolist() == [4] * 6  # one 7, one 4
    assert classify(queries, stored, labels, 5).tolist() == [2] * 6
    nowhere = torch.zeros(60, 500)  # an embedding that has collapsed
    assert classify(nowhere[:4], nowhere, labels, 3).tolist() == [7] * 4
    assert classify(nowhere[:4] + 1.5, nowhere, labels, 3).tolist() == [7] * 4


# Losses


def batch(queries=4, candidates=6, classes=2, seed=0, dtype=torch.float64):
    embeddings = torch.randn(queries + candidates, 3, generator=generator(seed), dtype=dtype)
    labels = torch.randint(classes, (queries + candidates,), generator=generator(seed + 1))
    return Batch(embeddings.requires_grad_(), labels, queries)


def direct(k=2, cost="multiplicative", epsilon=-0.5, growth=1.0, cap=0.9999, samples=0):
    return Direct(k, cost, epsilon, growth, cap, samples)


def by_enumeration(embedded, k, cost, epsilon, gamma, sigma):
    """Gradient in the scores and in sigma of the mean over queries, argmax by argmax over all subsets."""
    q, c = (part.detach() for part in embedded.pair)
    vertices = Subset(len(c), k).vertices()
    in_scores, in_sigma, wrong = torch.zeros(len(q), len(c)), torch.zeros(len(q)), []
    samples = 1 if gamma is None else gamma.shape[1]
    for i, query in enumerate(q):
        distances = torch.tensor([float(torch.linalg.norm(query - candidate)) for candidate in c])
        right = embedded.labels[: len(q)][i] == embedded.labels[len(q) :]
        for s in range(samples):
            noise = torch.zeros(len(c)) if gamma is None else gamma[i, s]
            theta = -distances + sigma[i] * noise
            bonus = abs(epsilon) * right * (distances if cost == "multiplicative" else 1.0)
            y, moved = (vertices[(vertices @ scores.double()).argmax()] for scores in (theta, theta + bonus))
            in_scores[i] += (moved - y) / epsilon / samples / len(q)
            in_sigma[i] += ((moved - y) * noise).sum() / epsilon / samples / len(q)
            wrong.append(1 - float(y[right].sum()) / k)
    return in_scores.double(), in_sigma.double(), np.mean(wrong)


@pytest.mark.parametrize("cost", ["multiplicative", "additive"])
@pytest.mark.parametrize("samples", [0, 1, 5])
def test_direct_loss_is_the_difference_of_enumerated_argmaxes(cost, samples):
    embedded, epsilon = batch(seed=3), -0.9 if cost == "multiplicative" else -3.0
    sigma = torch.tensor([0.5, 1.0, 2.0, 0.1], dtype=torch.float64, requires_grad=True) if samples else None
    gamma = Gumbel().sample((4, samples, 6), generator(5), torch.float64) if samples else None
    total, loss = direct(2, cost, epsilon, samples=samples)(embedded, sigma, generator(5))
    scores, in_sigma, wrong = by_enumeration(embedded, 2, cost, epsilon, gamma, [1.0] * 4 if sigma is None else sigma)
    assert float(loss) == pytest.approx(wrong)
    assert scores.abs().sum() > 0
    expected = torch.autograd.grad(-euclidean(*embedded.pair), embedded.embeddings, scores)
    torch.testing.assert_close(
        torch.autograd.grad(total, embedded.embeddings, retain_graph=True)[0], expected[0], atol=1e-6, rtol=1e-6
    )
    if sigma is not None:
        torch.testing.assert_close(torch.autograd.grad(total, sigma)[0], in_sigma, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("cost", ["multiplicative", "additive"])
def test_a_step_of_direct_loss_draws_the_right_neighbour_near_and_pushes_the_wrong_one_away(cost):
    embeddings = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.2], [3.0, 3.0]], dtype=torch.float64)
    embedded = Batch(embeddings.requires_grad_(), torch.tensor([1, 0, 1, 1]), 1)
    total, loss = direct(1, cost, epsilon=-0.5)(embedded, None, generator())
    assert float(loss) == 1.0
    (gradient,) = torch.autograd.grad(total, embedded.embeddings)
    before, after = (
        euclidean(moved[:1], moved[1:])[0] for moved in (embeddings.detach(), (embeddings - 0.01 * gradient).detach())
    )
    assert after[0] > before[0]
    assert after[1] < before[1]
    assert after[2] == pytest.approx(float(before[2]), abs=0.02)
    assert gradient[3].eq(0).all()  # neither chosen


def test_epsilon_grows_only_while_wrong_neighbours_leave_no_gradient_and_never_past_its_cap():
    far = torch.tensor([[0.0], [1.0], [100.0]], dtype=torch.float64)
    stuck = Batch(far.requires_grad_(), torch.tensor([1, 0, 1]), 1)
    loss = direct(1, epsilon=-0.2, growth=1.1)
    total, _ = loss(stuck, None, generator())  # 100 (1 - 0.9999) is less than 1, so the cap is needed
    assert loss.final() == {"epsilon": -0.9999}
    assert torch.autograd.grad(total, stuck.embeddings)[0].abs().sum() > 0
    right = Batch(far.detach().requires_grad_(), torch.tensor([1, 1, 0]), 1)
    loss = direct(1, epsilon=-0.2, growth=1.1)
    loss(right, None, generator())
    assert loss.final() == {"epsilon": -0.2}
    near = Batch(torch.tensor([[0.0], [1.0], [1.5]], requires_grad=True), torch.tensor([1, 0, 1]), 1)
    loss = direct(1, epsilon=-0.2, growth=1.1)
    loss(near, None, generator())
    assert loss.final()["epsilon"] == pytest.approx(-0.2 * 1.1**6)  # the first below 1 / 1.5 - 1
    again = direct(1, epsilon=-0.1)
    again.restore(loss.state())
    assert again.final() == loss.final()


def softmax_rows(scores, k, temperature):
    """NeuralSort's first k rows from its formula, with the matrix of differences."""
    n = len(scores)
    spread = (scores.unsqueeze(0) - scores.unsqueeze(1)).abs().sum(1)
    return [torch.softmax(((n + 1 - 2 * r) * scores - spread) / temperature, 0) for r in range(1, k + 1)]


@pytest.mark.parametrize("samples", [0, 5])
def test_neural_sort_is_minus_the_mass_on_right_neighbours(samples):
    embedded = batch(seed=3)
    total, shown = SoftTopK(3, "neural_sort", 4.0, samples)(embedded, None, generator(9))
    scores = -(torch.cdist(*embedded.pair) ** 2)
    expected = torch.zeros((), dtype=torch.float64)
    for i in range(4):
        noise = torch.zeros(1, 6)
        if samples:
            noise = Gumbel(centred=False).sample((4, samples, 6), generator(9), torch.float64)[i]
        for gamma in noise:
            rows = softmax_rows(scores[i] + gamma, 3, 4.0)
            expected = expected - (torch.stack(rows) * embedded.same[i]).sum() / len(noise) / 4
    torch.testing.assert_close(total, expected, atol=1e-6, rtol=1e-6)
    assert float(shown) == pytest.approx(1 + float(expected.detach()) / 3, abs=1e-6)
    ours, theirs = (torch.autograd.grad(value, embedded.embeddings)[0] for value in (total, expected))
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


def test_relax_subsample_takes_one_softmax_after_the_other():
    embedded = batch(seed=3)
    total, _ = SoftTopK(2, "soft_sub", 5.0, 1)(embedded, None, generator(9))
    scores = -(torch.cdist(*embedded.pair) ** 2) + Gumbel(centred=False).sample((4, 6), generator(9), torch.float64)
    first = torch.softmax(scores / 5.0, -1)
    second = torch.softmax((scores + torch.log(1 - first)) / 5.0, -1)
    torch.testing.assert_close(total, -((first + second) * embedded.same).sum(-1).mean(), atol=1e-6, rtol=1e-6)


def test_classification_is_cross_entropy_over_queries_and_candidates():
    embedded, layer = batch(), torch.nn.Linear(3, 10).double()
    total, shown = Classification(layer)(embedded, None, generator())
    expected = cross_entropy(layer(embedded.embeddings), embedded.labels).detach()
    assert float(total.detach()) == float(shown) == float(expected)


# Networks


@pytest.mark.parametrize(
    ("name", "channels", "parameters"),
    [
        ("convnet", 1, 520 + 25_050 + 400_500),
        ("resnet18", 3, 11_173_962 - 5130),  # kuangliu/pytorch-cifar's count, less the classifier
        ("preact_resnet18", 3, 11_171_146 - 5130),
        ("resnet18", 1, 11_173_962 - 5130 - 2 * 9 * 64),
    ],
)
def test_the_embeddings_have_the_published_size(name, channels, parameters):
    network = Network(name, channels).eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    side = 28 if channels == 1 else 32
    with torch.no_grad():
        assert network(torch.rand(2, channels, side, side)).shape == (2, 500 if name == "convnet" else 512)
    assert network.separate == (name == "convnet")


@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32)])
def test_sigma_is_one_positive_number_a_query(channels, side):
    network = sigma_net(channels)
    initialise(network, generator())
    sigma = network(torch.rand(5, channels, side, side, generator=generator()))
    assert sigma.shape == (5, 1)
    assert (sigma > 0).all()
    linears = [module for module in network.children() if isinstance(module, torch.nn.Linear)]
    assert [layer.in_features for layer in linears] == ([800, 500] if channels == 1 else [3920])


def test_initial_weights_are_torchs_own_distribution_and_come_from_the_generator():
    drawn, theirs = Network("resnet18", 1), Network("resnet18", 1)
    state = torch.get_rng_state()
    initialise(drawn, generator(1))
    assert torch.equal(torch.get_rng_state(), state)
    initialise(theirs, generator(1))
    for ours, same in zip(drawn.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert torch.equal(ours, same)
    conv = drawn.embedding.layer4[0].conv1
    with torch.random.fork_rng():
        torch.manual_seed(0)
        plain = torch.nn.Conv2d(256, 512, 3, bias=False)
    few = slice(None, None, 97)
    assert same_distribution(conv.weight.detach().flatten()[few], plain.weight.detach().flatten()[few]) > 0.01
    assert float(conv.weight.detach().abs().max()) == pytest.approx(1 / 48, rel=1e-4)
    with pytest.raises(TypeError, match="Bilinear"):
        initialise(torch.nn.Sequential(torch.nn.Bilinear(2, 2, 2)), generator())


def test_all_embeddings_can_be_named():
    assert set(EMBEDDINGS) == {"convnet", "resnet18", "preact_resnet18"}


# Batches


def test_a_stream_shows_every_row_once_a_round_and_goes_on_where_it_was():
    stream = Stream(10, generator())
    first = torch.cat([stream.next(4) for _ in range(5)])
    assert sorted(first[:10].tolist()) == sorted(first[10:].tolist()) == list(range(10))
    assert first[:10].tolist() != first[10:].tolist()
    stream.next(3)
    saved = stream.state()
    expected = [stream.next(25).tolist() for _ in range(3)]
    resumed = Stream(10, generator(7))
    resumed.restore(saved)
    assert [resumed.next(25).tolist() for _ in range(3)] == expected
