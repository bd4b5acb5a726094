"""NeuralSort against its quadratic formula, sorting itself and the Plackett-Luce distribution."""

import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from structgrad.layers.neural_sort import NeuralSort, distances
from structgrad.noise import Gumbel, Normal


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def by_formula(s, temperature):
    """``softmax([(n + 1 - 2i) s - A_s 1] / t)`` with the matrix ``A_s``."""
    n = s.shape[-1]
    total = (s.unsqueeze(-1) - s.unsqueeze(-2)).abs().sum(-1)
    rows = [(n + 1 - 2 * i) * s - total for i in range(1, n + 1)]
    return torch.softmax(torch.stack(rows, -2) / temperature, -1)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 31])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 16.0])
def test_rows_are_those_of_the_formula(n, temperature):
    s = randn(3, 2, n).requires_grad_()
    weights = randn(3, 2, n, n, seed=1)
    rows, formula = NeuralSort(temperature)(s), by_formula(s, temperature)
    assert torch.allclose(rows, formula, rtol=1e-11, atol=1e-14)
    ours, theirs = (torch.autograd.grad((p * weights).sum(), s)[0] for p in (rows, formula))
    assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("top", [1, 2, 5, 9])
def test_the_first_rows_only(top):
    s = randn(4, 9)
    assert torch.equal(NeuralSort(0.5, top)(s), NeuralSort(0.5)(s)[:, :top])
    assert torch.equal(NeuralSort(0.5, top).eval()(s), NeuralSort(0.5).eval()(s)[:, :top])


@pytest.mark.parametrize("temperature", [1e-3, 1.0, 100.0])
def test_rows_sum_to_one_and_peak_where_the_sort_says(temperature):
    """Unimodal and row-stochastic (Grover et al. 2019): the largest entries of the rows are a permutation."""
    s = randn(20, 6)
    p = NeuralSort(temperature)(s)
    assert (p >= 0).all()
    assert torch.allclose(p.sum(-1), torch.ones(20, 6).double())
    assert torch.equal(p.argmax(-1), s.argsort(-1, descending=True))


def test_cold_rows_are_the_permutation_that_sorts():
    s = randn(20, 6)
    errors = []
    for temperature in (1.0, 0.1, 1e-4):
        layer = NeuralSort(temperature)
        errors.append((layer(s) - layer.eval()(s)).abs().max().item())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-6
    hard = NeuralSort().eval()(s)
    assert torch.equal((hard @ s.unsqueeze(-1)).squeeze(-1), s.sort(-1, descending=True).values)


def test_of_equal_scores_the_first_comes_first_in_the_hard_rows():
    s = torch.tensor([1.0, 3.0, 1.0, 3.0, 3.0], dtype=torch.float64)
    assert NeuralSort().eval()(s).argmax(-1).tolist() == [1, 3, 4, 0, 2]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1e6, -1e6]), min_size=1, max_size=12))
def test_distances_and_their_derivative_with_ties(values):
    s = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    weights = torch.linspace(-1, 2, len(values), dtype=torch.float64)
    matrix = (s.unsqueeze(-1) - s.unsqueeze(-2)).abs().sum(-1)
    assert torch.allclose(distances(s), matrix, rtol=1e-12, atol=1e-8)
    ours, theirs = (torch.autograd.grad((d * weights).sum(), s)[0] for d in (distances(s), matrix))
    assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_gradients_of_first_and_second_order():
    s = randn(2, 5).requires_grad_()
    assert torch.autograd.gradcheck(NeuralSort(2.0), s)
    assert torch.autograd.gradgradcheck(NeuralSort(2.0, top=2), s)


def test_memory_is_that_of_the_rows():
    """100 queries with 800 candidates: no tensor of 800 x 800 is kept for the backward pass."""
    sizes = []

    def pack(tensor):
        sizes.append(tensor.numel())
        return tensor

    s = torch.randn(100, 800, generator=generator(), requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        p = NeuralSort(16.0, top=9)(s)
    assert p.shape == (100, 9, 800)
    assert max(sizes) == 100 * 9 * 800
    p[..., 0].sum().backward()
    assert s.grad is not None
    assert torch.isfinite(s.grad).all()


@pytest.mark.parametrize("n", [4, 800])
def test_single_precision_scores_are_computed_in_double(n):
    s = 100 * torch.randn(3, n, generator=generator())
    p = NeuralSort(16.0, top=3)(s)
    assert p.dtype == torch.float32
    assert torch.equal(p, NeuralSort(16.0, top=3)(s.double()).float())


# With noise


@pytest.mark.parametrize("samples", [None, 1, 4])
def test_noise_perturbs_the_scores_before(samples):
    s, noise = randn(2, 3, 5), Normal(0.5)
    layer = NeuralSort(0.7, 2, noise, samples)
    z = noise.sample((2, 3, 5) if samples is None else (2, 3, samples, 5), generator(1), torch.float64)
    noisy = (s if samples is None else s.unsqueeze(2)) + z
    p = layer(s, generator(1))
    assert p.shape == (*noisy.shape[:-1], 2, 5)
    assert torch.equal(p, NeuralSort(0.7, 2)(noisy))
    assert torch.equal(layer.eval()(s, generator(1)), NeuralSort(0.7, 2).eval()(noisy))


def test_hard_permutations_under_gumbel_noise_are_plackett_luce():
    s, count = torch.tensor([0.5, -0.5, 1.0], dtype=torch.float64), 50_000
    layer = NeuralSort(noise=Gumbel(centred=False), samples=count).eval()
    order = layer(s, generator(2)).argmax(-1)
    weights = s.exp().tolist()
    for permutation in permutations(range(3)):
        p, left = 1.0, sum(weights)
        for item in permutation:
            p *= weights[item] / left
            left -= weights[item]
        share = (order == torch.tensor(permutation)).all(-1).double().mean().item()
        assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / count)


def test_queries_draw_noise_of_their_own_and_replicas_theirs():
    layer = NeuralSort(noise=Gumbel(centred=False), samples=2)
    p = layer(torch.zeros(3, 4, 5), [generator(s) for s in (1, 2, 1)])
    assert torch.equal(p[0], p[2])
    assert not torch.equal(p[0], p[1])
    assert not torch.equal(p[0, 0], p[0, 1])


@pytest.mark.parametrize("samples", [None, 3])
def test_a_temperature_an_item(samples):
    s, temperature = randn(2, 3, 5), torch.nn.Parameter(torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64))
    noise = None if samples is None else Normal()
    p = NeuralSort(temperature, None, noise, samples)(s, generator(1))
    noisy = s if samples is None else s.unsqueeze(2) + Normal().sample((2, 3, 3, 5), generator(1), torch.float64)
    for i in range(3):
        assert torch.allclose(p[:, i], NeuralSort(temperature[i].item())(noisy[:, i]), rtol=1e-12, atol=1e-15)
    assert torch.autograd.grad(p.square().sum(), temperature)[0].all()


# Shapes and what is refused


@pytest.mark.parametrize("leading", [(), (0,), (2, 0, 3)])
def test_shapes(leading):
    for layer in (NeuralSort(), NeuralSort().eval()):
        assert layer(torch.zeros(*leading, 4)).shape == (*leading, 4, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.0}, "temperature must be positive and finite, not 0.0"),
        ({"top": 0}, "top must be at least 1, not 0"),
        ({"samples": 3}, "samples must be None without noise, not 3"),
        ({"noise": Normal(), "samples": 0}, "samples must be at least 1, not 0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        NeuralSort(**arguments)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (torch.zeros(2, 2), r"scores of shape \(2, 2\) have no 3 rows"),
        (torch.tensor(0.0), r"scores of shape \(\) must hold finite"),
        (torch.full((4,), math.nan), r"scores of shape \(4,\) must hold finite"),
        (torch.zeros(4, dtype=torch.int64), r"scores of shape \(4,\) must hold finite floating-point"),
    ],
)
def test_bad_scores_are_named(scores, message):
    with pytest.raises(ValueError, match=message):
        NeuralSort(top=3)(scores)


def test_noise_needs_a_generator():
    with pytest.raises(ValueError, match="generator must be given"):
        NeuralSort(noise=Normal())(torch.zeros(3))
