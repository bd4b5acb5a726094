"""The matrix-tree theorem in as many digits as it takes: marginals, log-partition and Hessian-vector products.

What is compared with is the textbook's closed form, ``P(i is the parent of j) = w_ij (M_jj - M_ji)`` with M the inverse
of the reduced Laplacian (Koo et al. 2007, section 3.2), whose differences cancel nearly all of the digits.
"""

from __future__ import annotations

import math

import mpmath
import pytest
import torch

from structgrad.polytopes.arborescence import Arborescence
from structgrad.polytopes.spanning_tree import SpanningTree

RANGES = [1, 23, 105, 200, 500]


def weights(scores, edges):
    """Exact weights, as lists of rows; an edge that is not allowed has weight zero."""
    n = len(scores)
    return [
        [mpmath.exp(scores[i][j]) if edges[i][j] and i != j and j else mpmath.mpf(0) for j in range(n)]
        for i in range(n)
    ]


def reduced_laplacian(w):
    n = len(w)
    return mpmath.matrix(
        [[sum(w[k][j] for k in range(n)) if i == j else -w[i][j] for j in range(1, n)] for i in range(1, n)]
    )


def exact(scores, edges):
    """``log Z`` and the probability of each edge of the arborescence from vertex 0, as lists of mpmath numbers."""
    n, w = len(scores), weights(scores, edges)
    laplacian = reduced_laplacian(w)
    inverse = mpmath.inverse(laplacian)
    probabilities = [[mpmath.mpf(0)] * n for _ in range(n)]
    for i in range(n):
        for j in range(1, n):
            other = inverse[j - 1, i - 1] if i else 0
            probabilities[i][j] = w[i][j] * (inverse[j - 1, j - 1] - other)
    return mpmath.log(mpmath.det(laplacian)), probabilities


def exact_single(scores, edges):
    """The same for the trees of which one edge leaves vertex 0: a sum over its child r of trees from r (Koo et al.)."""
    n, w = len(scores), weights(scores, edges)
    total, parts = mpmath.mpf(0), []
    probabilities = [[mpmath.mpf(0)] * n for _ in range(n)]
    for r in range(1, n):
        order = [r, *(v for v in range(1, n) if v != r)]
        inner = [[w[i][j] if j != r else mpmath.mpf(0) for j in order] for i in order]
        laplacian = reduced_laplacian(inner)
        part = w[0][r] * mpmath.det(laplacian)
        inverse = mpmath.inverse(laplacian)
        total += part
        parts.append((r, order, part, inner, inverse))
    for r, order, part, inner, inverse in parts:
        probabilities[0][r] = part / total
        for a, i in enumerate(order):
            for b, j in enumerate(order[1:], 1):
                other = inverse[b - 1, a - 1] if a else 0
                probabilities[i][j] += part / total * inner[a][b] * (inverse[b - 1, b - 1] - other)
    return mpmath.log(total), probabilities


def digits(scores):
    """Enough for determinants of such weights to keep hundreds of digits."""
    span = float(scores.max() - scores.min())
    return int(span * len(scores) / math.log(10)) + 150


def exact_product(scores, edges, direction, exact=exact):
    """The derivative of the probabilities along ``direction``, by a central difference of step ``10**-60``."""
    step = mpmath.mpf(10) ** -60
    moved = []
    for sign in (1, -1):
        at = [[s + sign * step * d for s, d in zip(*rows, strict=True)] for rows in zip(scores, direction, strict=True)]
        moved.append(exact(at, edges)[1])
    n = range(len(scores))
    return [[(moved[0][i][j] - moved[1][i][j]) / (2 * step) for j in n] for i in n]


def as_lists(matrix):
    return [[mpmath.mpf(x) for x in row] for row in matrix.tolist()]


def as_tensor(rows):
    return torch.tensor([[float(x) for x in row] for row in rows], dtype=torch.float64)


def spread(n, span, seed, symmetric):
    """Normal scores that span ``span``, and a normal direction."""
    generator = torch.Generator().manual_seed(seed)
    scores, direction = torch.randn(2, n, n, generator=generator, dtype=torch.float64).unbind()
    if symmetric:
        scores, direction = scores.triu(1) + scores.triu(1).mT, direction.triu(1) + direction.triu(1).mT
    used = scores[~torch.eye(n, dtype=torch.bool)]
    return scores * (span / (used.max() - used.min())), direction


def ours(family, theta, direction, mask=None):
    theta = theta.clone().requires_grad_()
    marginals = family.marginals(theta, mask)
    (product,) = torch.autograd.grad(marginals, theta, direction)
    return family.log_partition(theta.detach(), mask), marginals.detach(), product


def error(computed, expected):
    return float((computed - expected).abs().max())


@pytest.mark.parametrize("span", RANGES)
def test_arborescences(span):
    scores, direction = spread(6, span, 0, symmetric=False)
    with mpmath.workdps(digits(scores)):
        edges = [[True] * 6] * 6
        log_z, probabilities = exact(as_lists(scores), edges)
        product = exact_product(as_lists(scores), edges, as_lists(direction))
        computed = ours(Arborescence(6), scores, direction)
        assert float(computed[0]) == pytest.approx(float(log_z), rel=1e-13, abs=1e-12)
        assert error(computed[1], as_tensor(probabilities)) < 1e-13
        assert error(computed[2], as_tensor(product)) < 1e-12


@pytest.mark.parametrize("span", [*RANGES, 1000])
@pytest.mark.parametrize("root_gain", [-400.0, 0.0, 400.0])
def test_single_roots(span, root_gain):
    scores, direction = spread(6, span, 0, symmetric=False)
    scores[0] += root_gain  # no tree may have more of it than another
    with mpmath.workdps(digits(scores)):
        edges = [[True] * 6] * 6
        log_z, probabilities = exact_single(as_lists(scores), edges)
        product = exact_product(as_lists(scores), edges, as_lists(direction), exact_single)
        computed = ours(Arborescence(6, single_root=True), scores, direction)
        assert float(computed[0]) == pytest.approx(float(log_z), rel=1e-13, abs=1e-12)
        assert error(computed[1], as_tensor(probabilities)) < 2e-13
        assert error(computed[2], as_tensor(product)) < 1e-12
        p = [x for row in probabilities for x in row]
        inner = sum(x * s for x, s in zip(p, (s for row in as_lists(scores) for s in row), strict=True))
        entropy = Arborescence(6, single_root=True).entropy(scores)
        assert float(entropy) == pytest.approx(float(log_z - inner), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("span", RANGES)
def test_spanning_trees(span):
    scores, direction = spread(6, span, 1, symmetric=True)
    tree = SpanningTree(6)
    with mpmath.workdps(digits(scores)):
        edges = [[True] * 6] * 6
        log_z, probabilities = exact(as_lists(scores), edges)
        product = as_tensor(exact_product(as_lists(scores), edges, as_lists(direction)))
        computed = ours(tree, tree.vector(scores), tree.vector(direction))
        expected = as_tensor(probabilities)
        assert float(computed[0]) == pytest.approx(float(log_z), rel=1e-13, abs=1e-12)
        assert error(computed[1], tree.vector(expected + expected.mT)) < 1e-13
        assert error(computed[2], tree.vector(product + product.mT)) < 1e-12


@pytest.mark.parametrize("n", [4, 8])
@pytest.mark.parametrize("seed", range(2))
def test_ranges_of_five_hundred_on_many_graphs(n, seed):
    """Among them graphs in which the best edges form cycles that hardly anything enters."""
    scores, direction = spread(n, 500.0, 10 + seed, symmetric=False)
    scores[0] -= 200.0
    with mpmath.workdps(digits(scores)):
        _, probabilities = exact(as_lists(scores), [[True] * n] * n)
    assert error(ours(Arborescence(n), scores, direction)[1], as_tensor(probabilities)) < 1e-12


@pytest.mark.parametrize("span", [20, 300, 2000])
@pytest.mark.parametrize("seed", range(3))
def test_sparse_graphs_of_any_range(span, seed):
    """Without the other edges weights multiply: what floats cannot hold goes by logarithms."""
    scores, direction = spread(5, span, 20 + seed, symmetric=False)
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(5, 5, generator=generator) < 0.3
    mask |= torch.eye(5, dtype=torch.bool).roll(1, 1)  # the path 0 -> 1 -> ... -> 4
    with mpmath.workdps(digits(scores)):
        edges = mask.tolist()
        log_z, probabilities = exact(as_lists(scores), edges)
        product = exact_product(as_lists(scores), edges, as_lists(direction))
        computed = ours(Arborescence(5), scores, direction, mask)
        assert float(computed[0]) == pytest.approx(float(log_z), rel=1e-13)
        assert error(computed[1], as_tensor(probabilities)) < 1e-12
        assert error(computed[2], as_tensor(product)) < 1e-11


@pytest.mark.parametrize(("span", "least"), [(105, 1e-9), (200, 1e-2), (500, 1e-2)])
def test_an_inverse_or_a_determinant_in_floats_is_wrong_there(span, least):
    """The way of other libraries, on the scores of the tests above: why there is an elimination at all."""
    tree = SpanningTree(6)
    scores, _ = spread(6, span, 1, symmetric=True)
    with mpmath.workdps(digits(scores)):
        expected = as_tensor(exact(as_lists(scores), [[True] * 6] * 6)[1])
    expected = tree.vector(expected + expected.mT)
    theta = tree.vector(scores).requires_grad_()
    w = tree.matrix(theta - theta.max()).exp().masked_fill(torch.eye(6, dtype=torch.bool), 0.0)
    laplacian = (torch.diag(w.sum(0)) - w)[1:, 1:]
    (by_determinant,) = torch.autograd.grad(torch.linalg.slogdet(laplacian)[1], theta, retain_graph=True)
    inverse = torch.linalg.inv_ex(laplacian.detach()).inverse
    padded = torch.nn.functional.pad(inverse, (1, 0, 1, 0))
    diagonal = padded.diagonal()
    by_inverse = tree.vector(w.detach() * (diagonal + diagonal.unsqueeze(-1) - 2 * padded))
    for wrong in (by_determinant, by_inverse):
        assert not error(wrong, expected) < least  # NaN is wrong too
    assert error(tree.marginals(theta.detach()), expected) < 1e-13
