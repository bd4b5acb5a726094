"""Anyone's solver as a polytope: called with the right scores, its answers checked."""

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from structgrad.layers.finite_difference import finite_difference
from structgrad.parallel import set_threads
from structgrad.polytopes.blackbox import BlackBox
from structgrad.polytopes.matching import Matching
from structgrad.polytopes.permutahedron import Permutahedron


@pytest.fixture(autouse=True)
def _one_thread_again():
    yield
    set_threads(1)


def scores(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def assignment(theta):
    y = np.zeros_like(theta)
    y[linear_sum_assignment(theta, maximize=True)] = 1
    return y


def one_hot(theta):
    """Of a batch: ones at the largest."""
    return (theta == theta.max(-1, keepdims=True)).astype(int)


def test_argmax_is_the_best_vertex():
    vertices = Matching(3).vertices()
    polytope = BlackBox(assignment, (3, 3), vertices=vertices)
    theta = scores(2, 20, 3, 3)
    values = torch.einsum("abij,vij->abv", theta, polytope.vertices())
    assert torch.equal(polytope.argmax(theta), vertices[values.argmax(-1)])


@pytest.mark.parametrize("threads", [1, 2])
def test_one_at_a_time_or_in_batches(threads):
    set_threads(threads)
    theta = scores(3, 5, 4, dtype=torch.float32)
    batched = BlackBox(one_hot, (4,), batched=True)
    single = BlackBox(one_hot, [4])
    expected = torch.eye(4)[theta.argmax(-1)]
    for polytope in (batched, single):
        y = polytope.argmax(theta)
        assert y.dtype == torch.float32
        assert torch.equal(y, expected)
        assert torch.equal(polytope.argmax(theta[0, 0]), expected[0, 0])


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 3), st.integers(0, 3), st.booleans(), st.integers(1, 5))
def test_any_leading_dimensions(a, b, batched, n):
    theta = scores(n, b, a).permute(2, 1, 0)
    sort = BlackBox(lambda x: np.sort(x, axis=-1), (n,), batched)
    assert torch.equal(sort.argmax(theta), theta.sort(-1).values)


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize(
    "convert",
    [torch.tensor, np.ndarray.tolist, lambda x: torch.tensor(x, requires_grad=True), lambda x: x[..., ::-1][..., ::-1]],
)
def test_answers_may_be_tensors_lists_or_views(batched, convert):
    theta = scores(6, 3)
    assert torch.equal(BlackBox(lambda x: convert(x), (3,), batched).argmax(theta), theta)


def test_the_solver_sees_float64_arrays_of_its_own():
    seen = []

    def spoil(theta):
        seen.append((type(theta), theta.dtype, theta.shape, theta.flags.c_contiguous))
        theta[:] = 7.0
        return theta

    theta = scores(4, 2, 3)
    before = theta.clone()
    assert torch.equal(BlackBox(spoil, (2, 3)).argmax(theta), torch.full((4, 2, 3), 7.0).double())
    assert torch.equal(theta, before)
    assert seen == [(np.ndarray, np.float64, (2, 3), True)] * 4


def test_an_empty_batch_calls_nobody():
    def never(theta):
        raise AssertionError("called")

    for batched in (False, True):
        assert BlackBox(never, (3,), batched).argmax(torch.zeros(0, 2, 3)).shape == (0, 2, 3)


def test_solvers_run_side_by_side():
    set_threads(2)
    both = threading.Barrier(2, timeout=300)  # breaks unless two problems are solved at once

    def solve(theta):
        both.wait()
        return theta

    theta = scores(2, 3)
    assert torch.equal(BlackBox(solve, (3,)).argmax(theta), theta)


def test_it_goes_where_any_polytope_goes():
    theta, direction = scores(5, 4), scores(5, 4, seed=1)
    ranks = BlackBox(lambda x: x.argsort().argsort(), (4,))
    for ours, theirs in zip(
        finite_difference(ranks, theta, direction, 0.5),
        finite_difference(Permutahedron(4), theta, direction, 0.5),
        strict=True,
    ):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("answer", "batched", "message"),
    [
        (lambda x: x[:-1], False, r"the solver's output must be of shape \(3,\), not \(2,\)"),
        (lambda x: x.sum(), False, r"the solver's output must be of shape \(3,\), not \(\)"),
        (lambda x: x[0], True, r"the solver's output must be of shape \(2, 3\), not \(3,\)"),
        (lambda x: x * np.nan, False, r"the solver's output of shape \(3,\) holds NaN or infinite"),
        (lambda x: x + np.inf, True, r"the solver's output of shape \(2, 3\) holds NaN or infinite"),
        (lambda x: "best", False, "the solver's output must be numbers, not str"),
        (lambda x: x + 1j, False, "the solver's output must be numbers, not ndarray"),
        (lambda x: torch.tensor(x) + 1j, True, "the solver's output must be numbers, not Tensor"),
        (lambda x: None, False, r"the solver's output must be of shape \(3,\), not \(\)"),
        (lambda x: [[1.0], 2.0, 3.0], False, "the solver's output must be numbers, not list"),
    ],
)
def test_bad_answers_are_named(answer, batched, message):
    with pytest.raises(ValueError, match=message):
        BlackBox(answer, (3,), batched).argmax(torch.zeros(2, 3))


def test_the_solvers_own_errors_pass():
    def fail(theta):
        raise RuntimeError("no solution")

    with pytest.raises(RuntimeError, match="no solution"):
        BlackBox(fail, (3,)).argmax(torch.zeros(3))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="event_shape must be at least 1, not 0"):
        BlackBox(one_hot, (3, 0))
    with pytest.raises(ValueError, match=r"vertices must be \(count, \*\(3,\)\), not \(2, 4\)"):
        BlackBox(one_hot, (3,), vertices=torch.zeros(2, 4))
    with pytest.raises(ValueError, match="vertices of this BlackBox are not known"):
        BlackBox(one_hot, (3,)).vertices()
    with pytest.raises(ValueError, match="takes no mask"):
        BlackBox(one_hot, (3,)).argmax(torch.zeros(3), torch.ones(3, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"theta must end in \(3,\), not \(4,\)"):
        BlackBox(one_hot, (3,)).argmax(torch.zeros(4))
