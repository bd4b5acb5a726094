"""The compiled sums over samples against torch's einsum."""

import pytest
import torch

from structgrad.layers._contractions import along, mean, weighted_mean
from structgrad.parallel import set_threads

EVENTS = [(1,), (4,), (3, 3), (64,), (101,), (9, 9)]


def operands(event, dtype, items=7, samples=5):
    draw = torch.Generator().manual_seed(len(event) + event[0])
    shapes = ((items, *event), (items, samples, *event), (items, samples))
    return (torch.randn(shape, generator=draw, dtype=torch.float64).to(dtype) for shape in shapes)


@pytest.mark.parametrize("event", EVENTS, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 2e-6)])
def test_they_are_einsums(event, dtype, tolerance):
    direction, y, weights = operands(event, dtype)
    a, b, w = (value.flatten(dims).double() for value, dims in ((direction, 1), (y, 2), (weights, 1)))
    torch.testing.assert_close(
        along(direction, y).double(), torch.einsum("be,bme->bm", a, b), rtol=0, atol=50 * tolerance
    )
    found = weighted_mean(weights, y)
    assert (found.dtype, found.shape) == (dtype, direction.shape)
    expected = torch.einsum("bm,bme->be", w, b).view(direction.shape) / 5
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=50 * tolerance)
    found = mean(y)
    assert (found.dtype, found.shape) == (dtype, direction.shape)
    torch.testing.assert_close(found.double(), y.double().sum(1) / 5, rtol=0, atol=5 * tolerance)


def test_an_item_does_not_depend_on_the_others_nor_on_threads_or_strides():
    direction, y, weights = operands((4,), torch.float32, items=50)
    dots, means = along(direction, y), weighted_mean(weights, y)
    for rows in (slice(0, 1), slice(13, 37)):
        assert along(direction[rows], y[rows]).equal(dots[rows])
        assert weighted_mean(weights[rows], y[rows]).equal(means[rows])
        assert mean(y[rows]).equal(mean(y)[rows])
    strided = y.transpose(0, 1).contiguous().transpose(0, 1)
    assert along(direction, strided).equal(dots)
    assert mean(strided).equal(mean(y))
    set_threads(2)
    assert along(direction, y).equal(dots)
    assert weighted_mean(weights, y).equal(means)
    set_threads(1)


@pytest.mark.parametrize("event", [(4,), (100,)], ids=str)
def test_no_items(event):
    direction, y, weights = operands(event, torch.float32, items=0)
    assert along(direction, y).shape == (0, 5)
    assert weighted_mean(weights, y).shape == (0, *event)
    assert mean(y).shape == (0, *event)
