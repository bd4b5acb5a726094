"""Matchings against enumeration and scipy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from structgrad.polytopes.matching import Matching


def best_value(theta):
    rows, columns = linear_sum_assignment(theta.double().numpy(), maximize=True)
    return theta.double().numpy()[rows, columns].sum()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_argmax_is_the_best_vertex(n):
    theta = torch.randn(50, n, n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    matching = Matching(n)
    values = torch.einsum("bij,vij->bv", theta, matching.vertices())
    assert torch.equal(matching.argmax(theta), matching.vertices()[values.argmax(1)])


@pytest.mark.parametrize("n", [7, 25, 60])
@pytest.mark.parametrize("structured", [False, True])
def test_argmax_equals_scipy(n, structured):
    generator = torch.Generator().manual_seed(n)
    theta = torch.randn(4, 10, n, n, generator=generator)
    if structured:  # the rank-one scores of sorting: long augmenting paths
        x, slope = torch.rand(4, 10, n, 1, generator=generator), torch.arange(n) * 1.0
        theta = 5 * x * slope + 0.1 * theta
    y = Matching(n).argmax(theta)
    assert torch.equal(y.sum(-1), torch.ones(4, 10, n))
    assert torch.equal(y.sum(-2), torch.ones(4, 10, n))
    for score, found in zip(theta.flatten(0, 1), y.flatten(0, 1), strict=True):
        columns = linear_sum_assignment(score.double().numpy(), maximize=True)[1]
        assert np.array_equal(found.argmax(-1).numpy(), columns)


@pytest.mark.parametrize("step", [1e-3, 1.0, 100.0])
def test_pair_is_two_single_calls(step):
    generator = torch.Generator().manual_seed(1)
    theta = torch.randn(3, 4, 5, 12, 12, generator=generator)
    other = theta + step * torch.randn(theta.shape, generator=generator)
    first, second = Matching(12).argmax_pair(theta, other)
    assert torch.equal(first, Matching(12).argmax(theta))
    assert torch.equal(second, Matching(12).argmax(other))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**31), st.sampled_from([0.0, 1e-300, 1.0, 1e30]))
def test_ties_and_extreme_scores_give_an_optimal_matching(n, seed, scale):
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randint(-2, 3, (3, n, n), generator=generator).double() * scale
    y = Matching(n).argmax(theta)
    assert torch.equal(y, Matching(n).argmax(theta))
    for score, found in zip(theta, y, strict=True):
        assert float((score * found).sum()) == pytest.approx(best_value(score), rel=1e-12)


def test_empty_batch_and_single_matrix():
    assert Matching(3).argmax(torch.zeros(0, 3, 3)).shape == (0, 3, 3)
    assert torch.equal(Matching(2).argmax(torch.eye(2)), torch.eye(2))


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        (torch.zeros(2, 3), r"theta must end in \(3, 3\), not \(2, 3\)"),
        (torch.full((3, 3), float("nan")), "NaN or infinite"),
        (torch.full((3, 3), float("inf")), "NaN or infinite"),
        (torch.zeros(3, 3, dtype=torch.int64), "floating point"),
    ],
)
def test_bad_scores_are_named(theta, message):
    with pytest.raises(ValueError, match=message):
        Matching(3).argmax(theta)


def test_no_size():
    with pytest.raises(ValueError, match="n must be at least 1"):
        Matching(0)
