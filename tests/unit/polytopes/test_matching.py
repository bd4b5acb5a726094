"""Matchings against enumeration and scipy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from structgrad.parallel import set_threads
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


LARGE = 1e308


@pytest.mark.parametrize("a", [LARGE, 1.7e308, 5e-324, 1e-300, 1.0])
def test_all_signs_of_one_magnitude(a):
    """Every 3 x 3 matrix of signs at the ends of float64: sums of scores overflow, and there are ties everywhere."""
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 9).view(-1, 3, 3)
    vertices = Matching(3).vertices()
    best = torch.einsum("bij,vij->bv", signs, vertices).amax(1)
    for theta in (signs * a, (signs * a).unsqueeze(0)):  # one by one, and from one another's prices
        for y in (Matching(3).argmax(theta), *Matching(3).argmax_pair(theta, theta)):
            assert torch.equal((y.view_as(signs) * signs).sum((-2, -1)), best)


def test_huge_scores_by_hand():
    a = LARGE
    theta = torch.tensor([[a, a, a], [-a, -a, -a], [a, a, a]], dtype=torch.float64)
    y = Matching(3).argmax(theta)
    assert torch.equal(y.sum(0), torch.ones(3).double())
    assert torch.equal(y.sum(1), torch.ones(3).double())
    corners = torch.tensor([[1.7e308, -1.7e308], [-1.7e308, 1.7e308]], dtype=torch.float64)
    assert torch.equal(Matching(2).argmax(corners), torch.eye(2).double())
    assert torch.equal(Matching(2).argmax(-corners), torch.eye(2).double().flip(0))
    forbidden = torch.full((3, 3), torch.finfo(torch.float64).min, dtype=torch.float64)
    forbidden[[0, 1, 2], [1, 2, 0]] = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    forbidden[0, 2] = 4.0  # the best score of all, with which no matching is left
    assert Matching(3).columns(forbidden).tolist() == [1, 2, 0]


def test_a_problem_loses_nothing_to_its_neighbours():
    theta = torch.tensor([[[[0, 0], [0, 1e17]], [[0, 0], [1, 0]]]], dtype=torch.float64)
    swap = torch.eye(2).double().flip(0)
    assert torch.equal(Matching(2).argmax(theta)[0, 1], swap)
    assert torch.equal(Matching(2).argmax_pair(theta[:, :1], theta[:, 1:])[1][0, 0], swap)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 6), st.integers(0, 2**31), st.sampled_from([torch.float32, torch.float64]))
def test_a_batch_is_a_loop_whatever_the_neighbours(n, seed, dtype):
    """Whole numbers from -3 to 3, with ties, at scales from 1e-300 to 1e300 side by side; values are exact."""
    generator = torch.Generator().manual_seed(seed)
    ends = (-300, 301) if dtype == torch.float64 else (-37, 38)
    signs = torch.randint(-3, 4, (2, 20, n, n), generator=generator).to(dtype)
    powers = torch.randint(*ends, (2, 20, 1, 1), generator=generator).double()
    theta = (signs * 10**powers).to(dtype)
    other = theta.flip(1)
    first, second = Matching(n).argmax_pair(theta, other)
    for found, scores in ((Matching(n).argmax(theta), signs), (first, signs), (second, signs.flip(1))):
        for y, whole in zip(found.flatten(0, 1), scores.flatten(0, 1), strict=True):
            assert float((whole * y).sum()) == best_value(whole)


def test_long_chains_stay_exact():
    """Prices drift upwards from problem to problem, and must not take digits along."""
    theta = torch.randint(0, 3, (1, 3000, 4, 4), generator=torch.Generator().manual_seed(1)).double()
    y = Matching(4).argmax(theta)
    values = torch.einsum("bij,vij->bv", theta[0], Matching(4).vertices()).amax(1)
    assert torch.equal((theta[0] * y[0]).sum((-2, -1)), values)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_goes_in_and_comes_out(dtype):
    theta = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(1)).to(dtype)
    y = Matching(5).argmax(theta)
    assert y.dtype == dtype
    assert torch.equal(y.double(), Matching(5).argmax(theta.double()))
    first, second = Matching(5).argmax_pair(theta, theta)
    assert torch.equal(first, y)
    assert torch.equal(second, y)
    assert torch.equal(Matching(5).columns(theta), Matching(5).columns(theta.double()))


# More rows than columns, or fewer


@pytest.mark.parametrize("n", range(1, 6))
@pytest.mark.parametrize("m", range(1, 6))
def test_rectangles_against_enumeration(n, m):
    """With ties, chained, in pairs, at both ends of float64; the smaller set is matched, nothing twice."""
    generator, matching = torch.Generator().manual_seed(10 * n + m), Matching(n, m)
    vertices = matching.vertices()
    assert vertices.shape == (math.perm(max(n, m), min(n, m)), n, m)
    assert len(vertices.flatten(1).unique(dim=0)) == len(vertices)
    assert vertices.sum(1).max() == vertices.sum(2).max() == 1
    for theta in (
        torch.randn(2, 20, n, m, generator=generator, dtype=torch.float64),
        torch.randint(-2, 3, (2, 20, n, m), generator=generator).double(),
    ):
        other = theta.flip(0)
        for scale in (5e-324, 1e-300, 1.0, 1e300, 5e307) if theta.frac().eq(0).all() else (1.0,):
            first, second = matching.argmax_pair(theta * scale, other * scale)
            assert torch.equal(first, matching.argmax(theta * scale))
            for y, scores in ((first, theta), (second, other)):
                assert torch.equal(y.sum((-2, -1)), torch.full((2, 20), min(n, m)).double())
                best = torch.einsum("rbij,vij->rbv", scores, vertices).amax(-1)
                assert torch.allclose((y * scores).sum((-2, -1)), best, rtol=0, atol=1e-13)


@pytest.mark.parametrize("shape", [(7, 30), (30, 7), (20, 21), (3, 200), (60, 59)])
@pytest.mark.parametrize("step", [0.01, 10.0])
def test_rectangles_equal_scipy(shape, step):
    generator, matching = torch.Generator().manual_seed(1), Matching(*shape)
    theta = torch.randn(2, 1, *shape, generator=generator) + step * torch.randn(2, 5, *shape, generator=generator)
    columns = matching.columns(theta)
    assert columns.shape == theta.shape[:-1]
    assert torch.equal(matching.argmax(theta), matching.argmax(theta.mT.contiguous().mT))
    for score, found in zip(theta.flatten(0, 1), columns.flatten(0, 1), strict=True):
        rows, taken = linear_sum_assignment(score.double().numpy(), maximize=True)
        expected = np.full(shape[0], -1)
        expected[rows] = taken
        assert np.array_equal(found.numpy(), expected)


def test_rectangles_in_half_precision_in_empty_batches_and_by_hand():
    assert Matching(2, 5).argmax(torch.zeros(0, 2, 5)).shape == (0, 2, 5)
    assert Matching(5, 2).argmax(torch.zeros(3, 0, 5, 2)).shape == (3, 0, 5, 2)
    theta = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(1)).bfloat16()
    assert torch.equal(Matching(5, 3).argmax(theta).double(), Matching(5, 3).argmax(theta.double()))
    assert Matching(3, 1).columns(torch.tensor([[0.0], [2.0], [1.0]])).tolist() == [-1, 0, -1]
    with pytest.raises(ValueError, match=r"theta must end in \(2, 3\), not \(3, 2\)"):
        Matching(2, 3).argmax(torch.zeros(3, 2))


def test_a_rectangle_is_a_square_with_rows_of_zeros():
    theta = torch.randn(3, 50, 4, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    square = torch.cat([theta, torch.zeros(3, 50, 5, 9).double()], -2)
    assert torch.equal(Matching(4, 9).argmax(theta), Matching(9).argmax(square)[..., :4, :])


def test_threads_do_not_change_a_rectangle():
    theta = torch.randint(0, 4, (6, 20, 4, 7), generator=torch.Generator().manual_seed(1)).float()
    alone = Matching(4, 7).argmax(theta)
    set_threads(3)
    try:
        assert Matching(4, 7).argmax(theta).equal(alone)
    finally:
        set_threads(1)
