"""Rankings against enumeration and scipy's ranks, by counting and by sorting."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from structgrad.parallel import set_threads
from structgrad.polytopes.permutahedron import COUNTED, Permutahedron, sorted_ranks


@pytest.fixture(autouse=True)
def _one_thread_again():
    yield
    set_threads(1)


def scores(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def ordinal(theta):
    """scipy's ranks; of equal scores the earlier gets the lower one."""
    return rankdata(theta.double().numpy(), method="ordinal", axis=-1) - 1


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_argmax_is_the_best_vertex(n):
    theta, permutahedron = scores(50, n, seed=n), Permutahedron(n)
    values = theta @ permutahedron.vertices().mT
    assert torch.equal(permutahedron.argmax(theta), permutahedron.vertices()[values.argmax(1)])


@pytest.mark.parametrize("n", [1, 2, 5])
def test_vertices_are_all_permutations(n):
    vertices = Permutahedron(n).vertices()
    assert len(set(map(tuple, vertices.tolist()))) == len(vertices) == np.prod(range(1, n + 1))
    assert torch.equal(vertices.sort(-1).values, torch.arange(n).double().expand_as(vertices))


@pytest.mark.parametrize("n", [1, 2, 11, 64, 100, COUNTED, COUNTED + 1, 400])
@pytest.mark.parametrize("batch", [1, 63, 64, 129])
@pytest.mark.parametrize("distinct", [0, 3, 10])  # 0: no ties
def test_ranks_are_scipys(n, batch, distinct):
    theta = scores(batch, n, seed=n + batch)
    if distinct:
        theta = (theta * distinct).round() / distinct
    assert np.array_equal(Permutahedron(n).argmax(theta).numpy(), ordinal(theta))
    assert np.array_equal(sorted_ranks(theta).numpy(), ordinal(theta))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("n", [11, COUNTED + 10])
def test_any_floating_type_goes_in_and_comes_out(dtype, n):
    if n > 257 and dtype == torch.bfloat16:
        n = 257  # it holds whole numbers up to 256
    theta = scores(20, n).to(dtype)  # halves have ties
    y = Permutahedron(n).argmax(theta)
    assert y.dtype == dtype
    assert torch.equal(y, torch.from_numpy(ordinal(theta)).to(dtype))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=12))
def test_any_finite_scores(values):
    theta = torch.tensor([values, values[::-1]], dtype=torch.float64)
    y = Permutahedron(len(values)).argmax(theta)
    assert np.array_equal(y.numpy(), ordinal(theta))
    assert torch.equal(y, sorted_ranks(theta))


def test_of_equal_scores_the_earlier_gets_the_lower_rank():
    theta = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, -0.0, 0.0, -0.0], [2.0, 2.0, 2.0, 1.0]])
    expected = torch.tensor([[2.0, 0.0, 3.0, 1.0], [0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 0.0]])
    assert torch.equal(Permutahedron(4).argmax(theta), expected)
    assert torch.equal(sorted_ranks(theta), expected)


def test_leading_dimensions_strides_and_an_empty_batch():
    theta = scores(5, 3, 2).permute(2, 1, 0)
    y = Permutahedron(5).argmax(theta)
    assert y.shape == (2, 3, 5)
    assert np.array_equal(y.numpy(), ordinal(theta))
    assert Permutahedron(5).argmax(torch.zeros(0, 3, 5)).shape == (0, 3, 5)
    assert torch.equal(Permutahedron(3).argmax(torch.tensor([0.3, -1.0, 0.1])), torch.tensor([2.0, 0.0, 1.0]))


def test_one_thread_or_two_give_the_same_ranks():
    theta, found = scores(1000, 11).round(), []
    for threads in (1, 2):
        set_threads(threads)
        found.append(Permutahedron(11).argmax(theta))
    assert torch.equal(*found)


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        (torch.zeros(2, 4), r"theta must end in \(3,\), not \(2, 4\)"),
        (torch.full((3,), float("nan")), "NaN or infinite"),
        (torch.zeros(3, dtype=torch.int64), "floating point"),
    ],
)
def test_bad_scores_are_named(theta, message):
    with pytest.raises(ValueError, match=message):
        Permutahedron(3).argmax(theta)


def test_masks_and_sizes_below_one_are_refused():
    with pytest.raises(ValueError, match="takes no mask"):
        Permutahedron(3).argmax(torch.zeros(3), torch.ones(3, dtype=torch.bool))
    with pytest.raises(ValueError, match="n must be at least 1, not 0"):
        Permutahedron(0)


@pytest.mark.parametrize("n", [1, 4, 11, 100, COUNTED + 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_perturbed_ranks_are_the_ranks_of_the_perturbed_scores(n, dtype):
    draw = torch.Generator().manual_seed(n)
    for items, samples in ((1, 1), (3, 5), (70, 3), (0, 4)):
        theta, z = (
            torch.randn(items, n, generator=draw).to(dtype),
            torch.randn(items, samples, n, generator=draw).to(dtype),
        )
        sigma = torch.rand(items, generator=draw).to(dtype)
        found = Permutahedron(n).argmax_perturbed(theta, sigma, z)
        expected = Permutahedron(n).argmax(theta.unsqueeze(1) + sigma.view(-1, 1, 1) * z)
        assert (found.dtype, found.shape) == (dtype, z.shape)
        assert found.equal(expected)


def test_perturbed_ranks_of_views_and_on_two_threads():
    draw = torch.Generator().manual_seed(0)
    theta, z = torch.randn(5, 40, generator=draw).T, torch.randn(9, 40, 5, generator=draw).transpose(0, 1)
    sigma = torch.rand(80, generator=draw)[::2]
    expected = Permutahedron(5).argmax(theta.unsqueeze(1) + sigma.view(-1, 1, 1) * z)
    assert Permutahedron(5).argmax_perturbed(theta, sigma, z).equal(expected)
    set_threads(2)
    assert Permutahedron(5).argmax_perturbed(theta, sigma, z).equal(expected)
    set_threads(1)


@pytest.mark.parametrize(("dtype", "most"), [(torch.bfloat16, 256), (torch.float16, 2048)])
def test_ranks_that_the_type_does_not_hold_are_refused(dtype, most):
    theta = torch.arange(most + 1).to(dtype)
    assert Permutahedron(most + 1).argmax(theta).double().tolist() == list(range(most + 1))
    with pytest.raises(
        ValueError, match=rf"theta of shape \({most + 2},\) and {dtype} cannot hold ranks up to {most + 1}"
    ):
        Permutahedron(most + 2).argmax(torch.zeros(most + 2, dtype=dtype))
