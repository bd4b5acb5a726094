r"""k-subsets of a chain with scores for neighbours: the best one, and the marginals with their tangents, compiled.

The state after item i is how many items are chosen and whether i is. One forward pass keeps, for each state, the share
of weight that comes from states in which the item before is chosen; mass pushed back through the shares, from ``k`` at
the end, gives the marginals, and nothing is subtracted. The tangent of each pass gives the Hessian's product, exactly.

Weights of different counts drift apart without bound (the best value is not concave in the count), so every weight has
its own scale: ``m exp(s)`` with ``exp(-128) <= m <= exp(128)`` and ``s`` a multiple of 256, or ``s = -inf`` for zero.
That takes no exponential but one for each score, and no score is too large. What is left out is below a share of
``exp(-256)``.

A row is treated by itself: what it yields does not depend on its batch.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

STEP = 256.0
STEP_UP, STEP_DOWN = math.exp(STEP), math.exp(-STEP)
LARGE, SMALL = math.exp(STEP / 2), math.exp(-STEP / 2)


@njit(cache=True, nogil=True)
def _scaled(score, allowed):
    """``exp(score)`` as a mantissa and a scale; zero where not allowed."""
    if not allowed:
        return 0.0, -np.inf
    scale = STEP * np.rint(score / STEP)
    return math.exp(score - scale), scale


@njit(cache=True, nogil=True, inline="always")
def _times(m, s, factor, factor_scale):
    m, s = m * factor, s + factor_scale
    if m > LARGE:
        return m * STEP_DOWN, s + STEP
    if m < SMALL:
        return m * STEP_UP, s - STEP
    return m, s


@njit(cache=True, nogil=True, inline="always")
def _plus(m, s, other, other_scale):
    """The sum, and the shares in it of the one and of the ``other``."""
    if s < other_scale:
        m = m * STEP_DOWN if other_scale - s == STEP else 0.0
        s = other_scale
    elif other_scale < s:
        other = other * STEP_DOWN if s - other_scale == STEP else 0.0
    total = m + other
    scale = 1.0 / total if total > 0.0 else 0.0
    return total, s, m * scale, other * scale


@njit(cache=True, nogil=True)
def best_subset(theta, allowed, forced, y, k):
    """The best vertex of each row with its forced items; among equals the one that leaves out the last items.

    Where none has them, ``y`` is no vertex.
    """
    batch, n = theta.shape[0], (theta.shape[1] + 1) // 2
    values = np.empty((4, k + 1))
    before_out, before_in = np.zeros((n, k + 1), np.bool_), np.zeros((n, k + 1), np.bool_)
    for b in range(batch):
        out, chosen, next_out, next_chosen = values
        values[:] = -np.inf
        out[0] = 0.0
        for i in range(n):
            score = theta[b, i] if allowed[b, i] else -np.inf
            pair = theta[b, n + i - 1] if i > 0 and allowed[b, n + i - 1] else -np.inf
            for c in range(k + 1):
                before_out[i, c] = chosen[c] > out[c]
                next_out[c] = -np.inf if forced[b, i] else max(out[c], chosen[c])
            for c in range(1, k + 1):
                both = chosen[c - 1] + pair
                before_in[i, c] = both > out[c - 1]
                next_chosen[c] = max(out[c - 1], both) + score
            out, chosen, next_out, next_chosen = next_out, next_chosen, out, chosen
        y[b] = 0.0
        c, inside = k, chosen[k] > out[k]
        for i in range(n - 1, -1, -1):
            if not inside:
                inside = before_out[i, c]
            else:
                y[b, i] = 1.0
                inside = before_in[i, c]
                c -= 1
                if inside:
                    y[b, n + i - 1] = 1.0


@njit(cache=True, nogil=True)
def _forward(theta, allowed, k, work, shares, rests):
    """``shares[x, i, c]``: the chance that item i - 1 is chosen, given c chosen up to i and ``x`` = whether i is.

    ``rests`` is the chance that it is not; ``[0, n, k]`` is about the last item. Returns ``log Z``. Only counts from
    which k can still be reached are kept.
    """
    n = (len(theta) + 1) // 2
    largest = -np.inf
    for i in range(n):
        if allowed[i]:
            largest = max(largest, theta[i])
    out, out_scale, chosen, chosen_scale, next_out, next_out_scale, next_chosen, next_chosen_scale = work
    work[::2], work[1::2] = 0.0, -np.inf
    out[0], out_scale[0] = 1.0, 0.0
    for i in range(n):
        factor, factor_scale = _scaled(theta[i] - largest, allowed[i])
        pair, pair_scale = _scaled(theta[n + i - 1], allowed[n + i - 1]) if i > 0 else (0.0, -np.inf)
        first, last = max(0, k - (n - 1 - i)), min(i + 1, k)
        for c in range(first, last + 1):
            next_out[c], next_out_scale[c], rests[0, i, c], shares[0, i, c] = _plus(
                out[c], out_scale[c], chosen[c], chosen_scale[c]
            )
        for c in range(max(first, 1), last + 1):
            both, both_scale = _times(chosen[c - 1], chosen_scale[c - 1], pair, pair_scale)
            either, either_scale, rests[1, i, c], shares[1, i, c] = _plus(
                out[c - 1], out_scale[c - 1], both, both_scale
            )
            next_chosen[c], next_chosen_scale[c] = _times(either, either_scale, factor, factor_scale)
        out, out_scale, chosen, chosen_scale, next_out, next_out_scale, next_chosen, next_chosen_scale = (
            next_out, next_out_scale, next_chosen, next_chosen_scale, out, out_scale, chosen, chosen_scale
        )  # fmt: skip
    total, scale, rests[0, n, k], shares[0, n, k] = _plus(out[k], out_scale[k], chosen[k], chosen_scale[k])
    return (k * largest if k > 0 else 0.0) + scale + math.log(total)


@njit(cache=True, nogil=True)
def _backward(shares, rests, work, marginals):
    """Mass at count k after the last item, pushed back: what passes an item's and a pair's states is its marginal."""
    n, k = shares.shape[1] - 1, shares.shape[2] - 1
    out, chosen, before_out, before_chosen = work[:4]
    work[:4] = 0.0
    out[k], chosen[k] = rests[0, n, k], shares[0, n, k]
    for i in range(n - 1, -1, -1):
        first, last = max(0, k - (n - 1 - i)), min(i + 1, k)
        if first > 0:
            before_out[first - 1], before_chosen[first - 1] = 0.0, 0.0
        item, pair = 0.0, 0.0
        for c in range(first, last + 1):
            before_out[c] = out[c] * rests[0, i, c]
            before_chosen[c] = out[c] * shares[0, i, c]
        for c in range(max(first, 1), last + 1):
            both = chosen[c] * shares[1, i, c]
            before_out[c - 1] += chosen[c] * rests[1, i, c]
            before_chosen[c - 1] += both
            item += chosen[c]
            pair += both
        marginals[i] = item
        if i > 0:
            marginals[n + i - 1] = pair
        out, chosen, before_out, before_chosen = before_out, before_chosen, out, chosen


@njit(cache=True, nogil=True)
def _forward_tangent(shares, rests, direction, work, slopes):
    """``slopes`` = the tangent of ``shares``; each state keeps that of the log of its weight."""
    n, k = shares.shape[1] - 1, shares.shape[2] - 1
    out, chosen, next_out, next_chosen = work[:4]
    work[:4] = 0.0
    for i in range(n):
        pair = direction[n + i - 1] if i > 0 else 0.0
        first, last = max(0, k - (n - 1 - i)), min(i + 1, k)
        for c in range(first, last + 1):
            gain = chosen[c] - out[c]
            next_out[c] = out[c] + shares[0, i, c] * gain
            slopes[0, i, c] = shares[0, i, c] * rests[0, i, c] * gain
        for c in range(max(first, 1), last + 1):
            gain = chosen[c - 1] + pair - out[c - 1]
            next_chosen[c] = out[c - 1] + shares[1, i, c] * gain + direction[i]
            slopes[1, i, c] = shares[1, i, c] * rests[1, i, c] * gain
        out, chosen, next_out, next_chosen = next_out, next_chosen, out, chosen
    slopes[0, n, k] = shares[0, n, k] * rests[0, n, k] * (chosen[k] - out[k])


@njit(cache=True, nogil=True)
def _backward_tangent(shares, rests, slopes, work, product):
    """The tangent of :func:`_backward`; names of tangents begin with ``d``."""
    n, k = shares.shape[1] - 1, shares.shape[2] - 1
    out, chosen, before_out, before_chosen, d_out, d_chosen, d_before_out, d_before_chosen = work
    work[:] = 0.0
    out[k], d_out[k] = rests[0, n, k], -slopes[0, n, k]
    chosen[k], d_chosen[k] = shares[0, n, k], slopes[0, n, k]
    for i in range(n - 1, -1, -1):
        first, last = max(0, k - (n - 1 - i)), min(i + 1, k)
        if first > 0:
            before_out[first - 1], before_chosen[first - 1] = 0.0, 0.0
            d_before_out[first - 1], d_before_chosen[first - 1] = 0.0, 0.0
        item, pair = 0.0, 0.0
        for c in range(first, last + 1):
            before_out[c] = out[c] * rests[0, i, c]
            before_chosen[c] = out[c] * shares[0, i, c]
            d_before_out[c] = d_out[c] * rests[0, i, c] - out[c] * slopes[0, i, c]
            d_before_chosen[c] = d_out[c] * shares[0, i, c] + out[c] * slopes[0, i, c]
        for c in range(max(first, 1), last + 1):
            d_both = d_chosen[c] * shares[1, i, c] + chosen[c] * slopes[1, i, c]
            before_out[c - 1] += chosen[c] * rests[1, i, c]
            before_chosen[c - 1] += chosen[c] * shares[1, i, c]
            d_before_out[c - 1] += d_chosen[c] * rests[1, i, c] - chosen[c] * slopes[1, i, c]
            d_before_chosen[c - 1] += d_both
            item += d_chosen[c]
            pair += d_both
        product[i] = item
        if i > 0:
            product[n + i - 1] = pair
        out, chosen, before_out, before_chosen = before_out, before_chosen, out, chosen
        d_out, d_chosen, d_before_out, d_before_chosen = d_before_out, d_before_chosen, d_out, d_chosen


@njit(cache=True, nogil=True)
def correlated_marginals(theta, allowed, log_partition, marginals, k):
    """``log Z`` and ``E[y]`` of each row of ``theta``, over its allowed coordinates."""
    batch, n = theta.shape[0], (theta.shape[1] + 1) // 2
    shares, rests, work = np.zeros((2, n + 1, k + 1)), np.zeros((2, n + 1, k + 1)), np.empty((8, k + 1))
    for b in range(batch):
        log_partition[b] = _forward(theta[b], allowed[b], k, work, shares, rests)
        _backward(shares, rests, work, marginals[b])


@njit(cache=True, nogil=True)
def correlated_product(theta, allowed, direction, product, k):
    """The covariance of ``y`` times ``direction``, row by row."""
    batch, n = theta.shape[0], (theta.shape[1] + 1) // 2
    shares, rests = np.zeros((2, n + 1, k + 1)), np.zeros((2, n + 1, k + 1))
    slopes, work = np.zeros((2, n + 1, k + 1)), np.empty((8, k + 1))
    for b in range(batch):
        _forward(theta[b], allowed[b], k, work, shares, rests)
        _forward_tangent(shares, rests, direction[b], work, slopes)
        _backward_tangent(shares, rests, slopes, work, product[b])


@njit(cache=True, nogil=True)
def correlated_shares(theta, allowed, shares, rests, k):
    """The tables of :func:`_forward`, ``(B, 2, n + 1, k + 1)``."""
    work = np.empty((8, k + 1))
    for b in range(len(theta)):
        _forward(theta[b], allowed[b], k, work, shares[b], rests[b])
