"""Soft subsets of size k, compiled: three regularised maximisers over ``{0 <= y <= 1, sum y = k}``, row by row.

Each takes ``scores`` ``(batch, n)`` with -inf where a coordinate may not be used, the same rows sorted ascending, and
fills ``y``. All work on differences to a coordinate near the threshold, so that no digits are lost to large scores.
Rows with nothing to decide (k is 0, or all that may be used) are corners: 0 or 1 exactly.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _sigmoid(x):
    if x >= 0.0:
        return 1.0 / (1.0 + np.exp(-x))
    power = np.exp(x)
    return power / (1.0 + power)


@njit(cache=True, nogil=True)
def _corner(scores, ordered, k, y):
    """Fill ``y`` if there is nothing to decide."""
    n = scores.shape[0]
    if 0 < k < n and ordered[n - 1 - k] > -np.inf:
        return False
    for i in range(n):
        y[i] = 1.0 if k > 0 and scores[i] > -np.inf else 0.0
    return True


@njit(cache=True, nogil=True)
def _threshold(z, k):
    """tau with ``sum clip(z - tau, 0, 1) = k`` for descending ``z``: walk down its kinks ``z_i`` and ``z_i - 1``."""
    entered, capped = 0, 0  # z[:capped] are at 1, z[capped:entered] between, the others at 0
    tau, total = z[0], 0.0
    for _ in range(2 * z.shape[0]):  # each round passes a kink
        kink = -np.inf
        if capped < entered:
            kink = z[capped] - 1.0
        if entered < z.shape[0]:
            kink = max(kink, z[entered])
        reached = total + (entered - capped) * (tau - kink)
        if reached >= k:
            break
        tau, total = kink, reached
        if entered < z.shape[0] and z[entered] == kink:
            entered += 1
        else:
            capped += 1
    if entered == capped:
        return tau
    return (z[capped:entered].sum() - (k - capped)) / (entered - capped)


@njit(cache=True, nogil=True)
def euclidean_subset(scores, ordered, k, y):
    """``y = clip(scores - tau, 0, 1)``. The threshold lies within 1 of the k-th score: others are cut at 2 from it."""
    batch, n = scores.shape
    z = np.empty(n)
    for b in range(batch):
        if _corner(scores[b], ordered[b], k, y[b]):
            continue
        pivot = ordered[b, n - k]
        for i in range(n):
            z[i] = min(max(ordered[b, n - 1 - i] - pivot, -2.0), 2.0)
        tau = _threshold(z, k)
        for i in range(n):
            y[b, i] = min(max(scores[b, i] - pivot - tau, 0.0), 1.0)


@njit(cache=True, nogil=True)
def categorical_subset(scores, ordered, k, y):
    """``y = min(1, exp(scores - c))``: with the u largest at 1 the others share ``k - u`` as a softmax."""
    batch, n = scores.shape
    for b in range(batch):
        if _corner(scores[b], ordered[b], k, y[b]):
            continue
        z = ordered[b, ::-1]
        capped, total = k - 1, 0.0  # total = sum over i >= capped of exp(z_i - z_capped)
        for i in range(k - 1, n):
            total += np.exp(z[i] - z[k - 1])
        while capped > 0:
            with_one_more = 1.0 + np.exp(z[capped] - z[capped - 1]) * total
            if with_one_more < k - capped + 1:  # its share would exceed 1
                break
            capped, total = capped - 1, with_one_more
        share = (k - capped) / total
        for i in range(n):
            above = scores[b, i] - z[capped]
            y[b, i] = 1.0 if above > 0.0 else min(1.0, share * np.exp(above))


@njit(cache=True, nogil=True)
def binary_subset(scores, ordered, k, y):
    """``y = sigmoid(scores + nu)``: Newton's method on nu, kept in a bracket.

    From the middle between the k-th and the next score nu is at most ``log(2 n)`` away, whatever the scores. What the
    k largest lack to 1 is balanced with what the others have: both sums are small and precise where all saturate.
    """
    batch, n = scores.shape
    for b in range(batch):
        if _corner(scores[b], ordered[b], k, y[b]):
            continue
        z = ordered[b, ::-1]
        middle = z[k] + (0.5 * z[k - 1] - 0.5 * z[k])  # halved first: the difference may be beyond floats
        low, high, nu = -np.log(2.0 * (n - k)), np.log(2.0 * k), 0.0
        for _ in range(100):
            excess, slope = 0.0, 0.0
            for i in range(n):
                x = z[i] - middle + nu
                share = _sigmoid(-x if i < k else x)
                excess += -share if i < k else share
                slope += share * (1.0 - share)
            step = -excess / slope if slope > 0.0 else 0.0  # no slope: nothing lacks and nothing is over
            if abs(step) < 1e-9:  # its square is below the last bit
                nu += step
                break
            if excess > 0.0:
                high = nu
            else:
                low = nu
            nu += step
            if not low < nu < high:
                nu = 0.5 * (low + high)
        for i in range(n):
            y[b, i] = _sigmoid(scores[b, i] - middle + nu)
