"""The sums over samples behind a perturbed layer and its derivative, compiled: events are often a handful of numbers.

torch reduces a last dimension of four at a tenth of the speed of memory. Each item is summed by itself, in an order
that depends on its own shape alone (:mod:`structgrad.portable`). Measured in ``benchmarks/bench_label_ranking.py``.
"""

from __future__ import annotations

from numba import njit
from torch import Tensor

from structgrad.parallel import run_kernel
from structgrad.portable.types import array, compiled


def along(direction: Tensor, y: Tensor) -> Tensor:
    """``<direction, y>`` of every sample ``(B, M)``, for ``direction`` ``(B, *event)`` and ``y`` ``(B, M, *event)``."""
    if not compiled(direction, y):
        return (direction.unsqueeze(1) * y).flatten(2).sum(-1)
    products = y.new_empty(y.shape[:2])
    run_kernel(_along, array(direction.flatten(1)), array(y.flatten(2)), products.numpy())
    return products


def mean(y: Tensor) -> Tensor:
    """The mean over samples of ``y`` ``(B, M, *event)``: ``(B, *event)``."""
    if not compiled(y):
        return y.mean(1)
    means = y.new_empty(len(y), *y.shape[2:])
    run_kernel(_mean, array(y.flatten(2)), means.flatten(1).numpy())
    return means


def weighted_mean(weights: Tensor, score: Tensor) -> Tensor:
    """The mean over samples of ``weights`` ``(B, M)`` times ``score`` ``(B, M, *event)``: ``(B, *event)``."""
    if not compiled(weights, score):
        return (weights.view(*weights.shape, *(1,) * (score.dim() - 2)) * score).mean(1)
    means = score.new_empty(len(score), *score.shape[2:])
    run_kernel(_weighted_mean, array(weights), array(score.flatten(2)), means.flatten(1).numpy())
    return means


@njit(cache=True, nogil=True)
def _along(direction, y, out):
    batch, samples, n = y.shape
    whole = n - n % 4
    for b in range(batch):
        for m in range(samples):
            s0 = s1 = s2 = s3 = 0.0  # four sums at once: each waits for its own last addition
            for i in range(0, whole, 4):
                s0 += direction[b, i] * y[b, m, i]
                s1 += direction[b, i + 1] * y[b, m, i + 1]
                s2 += direction[b, i + 2] * y[b, m, i + 2]
                s3 += direction[b, i + 3] * y[b, m, i + 3]
            total = (s0 + s1) + (s2 + s3)
            for i in range(whole, n):
                total += direction[b, i] * y[b, m, i]
            out[b, m] = total


@njit(cache=True, nogil=True)
def _mean(y, out):
    batch, samples, n = y.shape
    for b in range(batch):
        out[b] = 0
        for m in range(samples):
            for i in range(n):
                out[b, i] += y[b, m, i]
        out[b] /= out.dtype.type(samples)


@njit(cache=True, nogil=True)
def _weighted_mean(weights, score, out):
    batch, samples, n = score.shape
    share = out.dtype.type(1) / out.dtype.type(samples)
    for b in range(batch):
        out[b] = 0
        for m in range(samples):
            weight = weights[b, m] * share
            for i in range(n):
                out[b, i] += weight * score[b, m, i]
