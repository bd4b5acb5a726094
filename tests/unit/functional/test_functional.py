"""Soft sorting, ranking and top-k against general convex solvers, isotonic regression, limits and differences."""

import doctest
import importlib
import math
from itertools import combinations
from typing import Literal

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, minimize
from sklearn.isotonic import IsotonicRegression

from structgrad.functional import soft_rank, soft_sort, soft_top_k
from structgrad.layers import Relaxed
from structgrad.parallel import set_threads
from structgrad.polytopes import Permutahedron, Subset
from structgrad.regularizers import CategoricalEntropy, Euclidean

NAMES: tuple[Literal["l2"], Literal["kl"]] = ("l2", "kl")
names = pytest.mark.parametrize("name", NAMES)
functions = pytest.mark.parametrize("function", [soft_sort, soft_rank], ids=["sort", "rank"])


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)
    yield
    set_threads(1)


def randn(*shape, seed=0, scale=1.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("module", ["soft_sort", "soft_rank", "soft_top_k"])
def test_the_examples_run(module):
    found = doctest.testmod(importlib.import_module(f"structgrad.functional.{module}"))
    assert found.attempted
    assert not found.failed


# Projections by other means


def permutahedron(w):
    """Its facets: any j coordinates sum to at most the j largest entries of w, and all to the sum."""
    n, w = len(w), np.sort(w)[::-1]
    facets = [c for j in range(1, n) for c in combinations(range(n), j)]
    rows = np.array([[float(i in facet) for i in range(n)] for facet in facets])
    bounds = [w[: len(facet)].sum() for facet in facets]
    upper = LinearConstraint(rows, ub=bounds)  # pyright: ignore[reportArgumentType]  # scipy takes arrays too
    return [upper, LinearConstraint(np.ones((1, n)), w.sum(), w.sum())]


def projected(z, w, name):
    """``P_Q`` or ``P_E`` of numpy vectors by scipy's general solver."""
    if name == "l2":
        start, constraints, bounds = np.full(len(w), w.mean()), permutahedron(w), None

        def objective(y):
            return 0.5 * y @ y - z @ y, y - z
    else:
        start, constraints = np.full(len(w), np.exp(w).mean()), permutahedron(np.exp(w))
        bounds = [(np.exp(w).min() * 0.5, None)] * len(w)

        def objective(y):
            return y @ (np.log(y) - 1) - z @ y, np.log(y) - z

    options = {"ftol": 1e-15, "maxiter": 1000}
    found = minimize(
        objective, start, jac=True, method="SLSQP", bounds=bounds, constraints=constraints, options=options
    ).x
    return found if name == "l2" else np.log(found)


@names
@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("t", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("descending", [False, True])
def test_a_general_solver_agrees(name, n, t, descending):
    rho = np.arange(n - 1, -1, -1.0)
    for x in randn(3, n, seed=n):
        ranks = projected((-x if descending else x).numpy() / t, rho, name)
        values = projected(rho / t, x.numpy(), name)
        assert soft_rank(x, t, name, descending).numpy() == pytest.approx(ranks, abs=2e-4)
        found = soft_sort(x, t, name, descending).numpy()
        assert found == pytest.approx(values if descending else values[::-1], abs=2e-4)


@pytest.mark.parametrize("n", [2, 10, 200])
@pytest.mark.parametrize("t", [0.01, 1.0, 30.0])
def test_quadratic_ones_are_scikit_learns_isotonic_regression(n, t):
    rho, x = np.arange(n - 1, -1, -1.0), randn(n, seed=n, scale=3.0)

    def isotonic(u):
        return IsotonicRegression(increasing=False).fit_transform(np.arange(n), u)

    w = np.sort(x.numpy())[::-1]
    assert soft_sort(x, t, descending=True).numpy() == pytest.approx(
        rho / t - isotonic(rho / t - w), abs=1e-11 / t + 1e-11
    )
    z = w / t
    expected = np.empty(n)
    expected[np.argsort(-x.numpy())] = z - isotonic(z - rho)
    assert soft_rank(x, t).numpy() == pytest.approx(expected, abs=1e-9 * n)


def entropic_isotonic(z, w):
    """The entropic problem's solution by its max-min formula, cubic: ``v_i = min_{j <= i} max_{k >= i} v(j..k)``."""
    n = len(z)

    def value(j, k):
        return np.logaddexp.reduce(z[j : k + 1]) - np.logaddexp.reduce(w[j : k + 1])

    return np.array([min(max(value(j, k) for k in range(i, n)) for j in range(i + 1)) for i in range(n)])


@pytest.mark.parametrize("n", [2, 7, 25])
@pytest.mark.parametrize("t", [0.05, 0.7, 1.0, 10.0])
def test_entropic_ones_are_the_max_min_formula(n, t):
    rho, x = np.arange(n - 1, -1, -1.0), randn(n, seed=n, scale=2.0)
    order = np.argsort(-x.numpy())
    w = x.numpy()[order]
    assert soft_sort(x, t, "kl", True).numpy() == pytest.approx(rho / t - entropic_isotonic(rho / t, w), abs=1e-11 / t)
    expected = np.empty(n)
    expected[order] = w / t - entropic_isotonic(w / t, rho)
    assert soft_rank(x, t, "kl").numpy() == pytest.approx(expected, abs=1e-11 / t + 1e-11)


def test_ranks_are_the_relaxed_permutahedron_and_masks_the_relaxed_subset():
    x = randn(20, 9)
    assert torch.equal(soft_rank(x, 0.7), Relaxed(Permutahedron(9), Euclidean(), 0.7)(x))
    for name, regularizer in zip(NAMES, (Euclidean(), CategoricalEntropy()), strict=True):
        assert torch.equal(soft_top_k(x, 3, 0.7, name), Relaxed(Subset(9, 3), regularizer, 0.7)(x))


# Limits and invariants


@names
def test_cold_is_hard_to_the_bit(name):
    x = randn(50, 12, scale=3.0)
    assert torch.equal(soft_sort(x, 1e-4, name), x.sort(-1).values)
    assert torch.equal(soft_sort(x, 1e-4, name, descending=True), x.sort(-1, descending=True).values)
    ranks = x.argsort(-1).argsort(-1).double()
    assert torch.allclose(soft_rank(x, 1e-6, name), ranks, atol=1e-12)
    assert torch.allclose(soft_rank(x, 1e-6, name, descending=True), 11 - ranks, atol=1e-12)
    top = torch.zeros_like(x).scatter(-1, x.topk(4).indices, 1.0)
    assert torch.allclose(soft_top_k(x, 4, 1e-5, name), top, atol=1e-12)


def test_hot_is_a_mean():
    x, rho = randn(5, 8), torch.arange(8).double()
    mean, log_mean = x.mean(-1, keepdim=True).expand(5, 8), (x.logsumexp(-1, keepdim=True) - math.log(8)).expand(5, 8)
    for descending in (False, True):
        assert torch.allclose(soft_sort(x, 1e9, "l2", descending), mean, atol=1e-7)
        assert torch.allclose(soft_sort(x, 1e9, "kl", descending), log_mean, atol=1e-7)
        assert torch.allclose(soft_rank(x, 1e9, "l2", descending), torch.full((5, 8), 3.5).double(), atol=1e-7)
        flat = (rho.logsumexp(0) - math.log(8)).expand(5, 8)
        assert torch.allclose(soft_rank(x, 1e9, "kl", descending), flat, atol=1e-7)
    for name in NAMES:
        assert torch.allclose(soft_top_k(x, 2, 1e9, name), torch.full((5, 8), 0.25).double(), atol=1e-7)


@names
@pytest.mark.parametrize("t", [0.1, 1.0, 5.0])
def test_order_and_sums_are_kept(name, t):
    x = randn(30, 10, scale=2.0)
    x[3] = x[3].round()  # ties

    def total(y):
        return y.sum(-1) if name == "l2" else y.logsumexp(-1)

    for descending in (False, True):
        y = soft_sort(x, t, name, descending)
        assert ((y.diff(dim=-1) * (-1 if descending else 1)) >= -1e-12).all()
        assert torch.allclose(total(y), total(x), rtol=1e-12)
        r = soft_rank(x, t, name, descending)
        assert torch.allclose(total(r), total(torch.arange(10).double()), rtol=1e-12)
        sign = -1 if descending else 1
        ordered = r.gather(-1, (sign * x).argsort(dim=-1, stable=True))
        assert (ordered.diff(dim=-1) >= -1e-12).all()
        equal = x.unsqueeze(-1) == x.unsqueeze(-2)
        assert torch.allclose((r.unsqueeze(-1) - r.unsqueeze(-2))[equal], torch.zeros(()).double(), atol=1e-12)
    assert torch.equal(soft_sort(x, t, name).flip(-1), soft_sort(x, t, name, True))


@names
def test_shifts_move_sorted_values_and_leave_ranks(name):
    x = randn(20, 7)
    assert torch.allclose(soft_sort(x + 5, 2.0, name), soft_sort(x, 2.0, name) + 5, atol=1e-12)
    assert torch.allclose(soft_rank(x + 5, 2.0, name), soft_rank(x, 2.0, name), atol=1e-12)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(soft_sort(x[:, order], 2.0, name), soft_sort(x, 2.0, name), atol=1e-13)
    assert torch.allclose(soft_rank(x[:, order], 2.0, name), soft_rank(x, 2.0, name)[:, order], atol=1e-13)


# Derivatives


@functions
@names
@pytest.mark.parametrize("descending", [False, True])
def test_derivatives_of_first_and_second_order(function, name, descending):
    x = randn(4, 6, scale=1.5).requires_grad_()
    t = torch.tensor([0.2, 0.7, 2.0, 20.0], dtype=torch.float64, requires_grad=True)
    arguments = (name, descending)
    assert torch.autograd.gradcheck(lambda x, t: function(x, t, *arguments), (x, t), atol=1e-6)
    if name == "kl":
        assert torch.autograd.gradgradcheck(lambda x, t: function(x, t, *arguments), (x, t), atol=1e-5)
    y = function(x, t, *arguments)
    assert torch.autograd.grad(y, x, randn(4, 6, seed=2))[0].any()


@names
def test_derivatives_of_a_mask(name):
    x = randn(4, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: soft_top_k(x, 2, 0.8, name), (x,), atol=1e-6)


def test_gradients_reach_all_entries_of_a_block():
    x = torch.tensor([0.0, 10.0, 20.0], dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(soft_sort(x, 1.0)[0], x)
    assert found.tolist() == pytest.approx([1 / 3] * 3)
    (found,) = torch.autograd.grad(soft_sort(x, 0.05)[0], x)
    assert found.tolist() == [1.0, 0.0, 0.0]


# Types, sizes, neighbours


@functions
@names
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_entries_are_widened_once(function, name, dtype):
    x = randn(5, 6).to(dtype)
    y = function(x, 0.5, name)
    assert y.dtype == dtype
    assert torch.equal(y, function(x.double(), 0.5, name).to(dtype))


@functions
@names
@pytest.mark.parametrize(("dtype", "size"), [(torch.float64, 1.7e308), (torch.float64, 5e-324), (torch.float16, 6e4)])
@pytest.mark.parametrize("t", [1e-3, 1.0, 1e300])
def test_entries_of_any_size(function, name, dtype, size, t):
    x = (torch.randint(-1, 2, (40, 5), generator=torch.Generator().manual_seed(3)).double() * size).to(dtype)
    x = x.requires_grad_()
    if (function, size, t) == (soft_rank, 1.7e308, 1e-3):
        with pytest.raises(ValueError, match=r"^x of shape \(40, 5\) has scores over the temperature beyond float64$"):
            function(x, t, name)
        return
    y = function(x, t, name)
    low, high = (x.min(), x.max()) if function is soft_sort else (0, 4)
    assert ((y >= low) & (y <= high)).all()
    (gradient,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert torch.isfinite(gradient).all()
    if size == 1.7e308 and function is soft_sort and t == 1e300:
        values = x.detach().sort(-1).values / size
        expected = values.mean(-1, keepdim=True) if name == "l2" else values.amax(-1, keepdim=True)
        assert torch.allclose(y / size, expected.expand(40, 5), atol=1e-12)


@functions
@names
def test_an_item_does_not_see_its_neighbours_nor_threads(function, name):
    x = randn(6, 2, 7)
    x[4] *= 1e300
    t = torch.tensor([0.5, 3.0], dtype=torch.float64)
    together = function(x, t, name)
    for i in range(6):
        for j in range(2):
            assert torch.equal(function(x[i, j], float(t[j]), name), together[i, j])
    set_threads(2)
    assert torch.equal(function(x, t, name), together)
    assert function(x[:0], t, name).shape == (0, 2, 7)


WRONG = {
    "a list": ([1.0, 2.0], TypeError, r"x must be a tensor \(torch.as_tensor makes one\), not list"),
    "whole numbers": (torch.ones(3, dtype=torch.int64), ValueError, r"x of shape \(3,\) must be floating point"),
    "a number": (torch.tensor(1.0), ValueError, r"x of shape \(\) must have a last dimension that is not empty"),
    "nothing to sort": (torch.ones(2, 0), ValueError, r"x of shape \(2, 0\) must have a last dimension"),
    "NaN": (torch.tensor([1.0, math.nan]), ValueError, r"x of shape \(2,\) holds NaN or infinite"),
}


@pytest.mark.parametrize("function", [soft_sort, soft_rank, lambda x: soft_top_k(x, 1)])
@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_sorted_is_named(function, case):
    x, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        function(x)


@functions
def test_temperatures_and_names_out_of_range_are_named(function):
    x = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="regularizer must be 'l2' or 'kl', not 'l1'"):
        function(x, 1.0, "l1")
    for wrong in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="temperature must be positive and finite"):
            function(x, wrong)
    with pytest.raises(ValueError, match=r"temperature of shape \(3,\) does not fit theta of shape \(2, 3\)"):
        function(x, torch.ones(3))
    with pytest.raises(ValueError, match=r"has (ranks|scores) over the temperature beyond float64"):
        function(x.double() + 1e300, 1e-320)
    with pytest.raises(ValueError, match="k must be"):
        soft_top_k(x, -1)
