"""The sums over samples behind a perturbed layer and its derivative, compiled: events are often a handful of numbers.

torch reduces a last dimension of four at a tenth of the speed of memory. Each item is summed by itself, in order, so
its numbers do not depend on the others. Measured in ``benchmarks/bench_label_ranking.py``.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor

from structgrad.parallel import run_kernel

COMPILED = 64  # coordinates up to which that beats torch, whose sums are vectorised


def along(direction: Tensor, y: Tensor) -> Tensor:
    """``<direction, y>`` of every sample ``(B, M)``, for ``direction`` ``(B, *event)`` and ``y`` ``(B, M, *event)``."""
    if not _compiled(y):
        return (direction.unsqueeze(1) * y).flatten(2).sum(-1)
    found = y.new_empty(y.shape[:2])
    run_kernel(_along, _array(direction.flatten(1)), _array(y.flatten(2)), found.numpy())
    return found


def mean(y: Tensor) -> Tensor:
    """The mean over samples of ``y`` ``(B, M, *event)``: ``(B, *event)``."""
    if not _compiled(y):
        return y.mean(1)
    found = y.new_empty(len(y), *y.shape[2:])
    run_kernel(_mean, _array(y.flatten(2)), found.flatten(1).numpy())
    return found


def weighted_mean(weights: Tensor, score: Tensor) -> Tensor:
    """The mean over samples of ``weights`` ``(B, M)`` times ``score`` ``(B, M, *event)``: ``(B, *event)``."""
    if not _compiled(score):
        return (weights.view(*weights.shape, *(1,) * (score.dim() - 2)) * score).mean(1)
    found = score.new_empty(len(score), *score.shape[2:])
    run_kernel(_weighted_mean, _array(weights), _array(score.flatten(2)), found.flatten(1).numpy())
    return found


def _compiled(value: Tensor) -> bool:
    floats = value.dtype in (torch.float32, torch.float64)
    return value.device.type == "cpu" and floats and 0 < value[0, 0].numel() <= COMPILED if len(value) else False


def _array(value: Tensor) -> np.ndarray:
    return value.detach().contiguous().numpy()


@njit(cache=True, nogil=True)
def _along(direction, y, out):
    batch, samples, n = y.shape
    for b in range(batch):
        for m in range(samples):
            total = out.dtype.type(0)
            for i in range(n):
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
