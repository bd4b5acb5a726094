r"""Draws and entropies of subsets, compiled, from the shares that their forward passes keep.

Read backwards, a share is what a draw decides by: with c items left to choose among the first i, how likely the last of
them is one (Chen and Liu 1997, conditional Bernoulli sampling; filtering forward and sampling backward on a chain).
Read forwards, the entropy of a state's past is that of this decision and, on average, of what came before: a sum of
terms of which none is negative, so that nothing cancels at any range of scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numba import njit
from torch import Tensor

TABLE = 2**22  # numbers in the tables that are in memory at once


def by_rows(function: Callable[..., Tensor], size: int, *tensors: Tensor | None) -> Tensor:
    """``function`` of as many rows of all tensors at a time as :data:`TABLE` holds tables of ``size`` numbers."""
    rows = max(1, TABLE // size)
    starts = range(0, max(1, len(tensors[0]) if tensors[0] is not None else 0), rows)
    return torch.cat([function(*(t if t is None else t[start : start + rows] for t in tensors)) for start in starts])


@njit(cache=True, nogil=True)
def subset_draws(share, items, counts, uniforms, y):
    """Draws ``y[b, m]``, false so far, from uniforms ``(B, M, n)``: the last item is decided first."""
    for b in range(len(share)):
        for m in range(uniforms.shape[1]):
            left = share.shape[2] - 1
            for i in range(counts[b] - 1, -1, -1):
                if uniforms[b, m, i] < share[b, i, left]:
                    y[b, m, items[b, i]] = True
                    left -= 1


@njit(cache=True, nogil=True)
def chain_draws(shares, uniforms, y):
    """The same of a chain, from uniforms ``(B, M, n + 1)``: the first decision is about the last item."""
    n = shares.shape[2] - 1
    for b in range(len(shares)):
        for m in range(uniforms.shape[1]):
            left = shares.shape[3] - 1
            inside = uniforms[b, m, n] < shares[b, 0, n, left]
            for i in range(n - 1, -1, -1):
                if not inside:
                    inside = uniforms[b, m, i] < shares[b, 0, i, left]
                else:
                    y[b, m, i] = True
                    inside = uniforms[b, m, i] < shares[b, 1, i, left]
                    left -= 1
                    if inside:
                        y[b, m, n + i - 1] = True


@njit(cache=True, nogil=True)
def _decided(share, rest, chosen, out):
    """The entropy of a decision and what came before it: ``chosen`` or ``out``, as it fell."""
    value = share * chosen + rest * out
    if share > 0.0:
        value -= share * math.log(share)
    if rest > 0.0:
        value -= rest * math.log(rest)
    return value


@njit(cache=True, nogil=True)
def subset_entropy(share, rest, counts, entropy):
    """The entropy of each row."""
    k = share.shape[2] - 1
    row = np.empty(k + 1)
    for b in range(len(share)):
        row[:] = 0.0
        for i in range(counts[b]):
            for c in range(min(i + 1, k), max(0, k - (counts[b] - 1 - i)) - 1, -1):
                row[c] = _decided(share[b, i, c], rest[b, i, c], row[c - 1] if c > 0 else 0.0, row[c])
        entropy[b] = row[k]


@njit(cache=True, nogil=True)
def chain_entropy(shares, rests, entropy):
    """The entropy of each row of a chain."""
    n, k = shares.shape[2] - 1, shares.shape[3] - 1
    work = np.empty((4, k + 1))
    for b in range(len(shares)):
        out, chosen, next_out, next_chosen = work
        work[:] = 0.0
        for i in range(n):
            for c in range(max(0, k - (n - 1 - i)), min(i + 1, k) + 1):
                next_out[c] = _decided(shares[b, 0, i, c], rests[b, 0, i, c], chosen[c], out[c])
                if c > 0:
                    next_chosen[c] = _decided(shares[b, 1, i, c], rests[b, 1, i, c], chosen[c - 1], out[c - 1])
            out, chosen, next_out, next_chosen = next_out, next_chosen, out, chosen
        entropy[b] = _decided(shares[b, 0, n, k], rests[b, 0, n, k], chosen[k], out[k])
