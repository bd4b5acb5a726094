r"""k-subsets on the CPU: the top k, and the marginals of ``p(y) \propto exp <theta, y>`` with their tangents, compiled.

Given their number, the chosen items are independent coins conditioned on ``k`` heads (Chen, Dempster & Liu 1994),
whatever constant ``tau`` is taken off the scores: item i falls heads with probability ``sigmoid(theta_i - tau)``. With
``tau`` such that about ``k`` heads are expected, ``k`` is near the mode of their number, so that no count that matters
underflows, at any range of scores. A forward pass keeps, for each item and count, the share of outcomes in which that
item is the last one chosen, and the share in which it is not; mass pushed back through the shares, from ``k`` at the
end, gives the marginals. Nothing is subtracted, so that small marginals keep their digits. The tangent of each pass
gives the Hessian's product, exactly.

A row is treated by itself: what it yields does not depend on its batch. Nothing here knows a mask but
``_gather`` and ``_best``.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _gather(theta, allowed, items, scores):
    """The allowed items and their scores, in order; how many they are."""
    count = 0
    for i in range(len(theta)):
        if allowed[i]:
            items[count] = i
            scores[count] = theta[i]
            count += 1
    return count


@njit(cache=True, nogil=True)
def _best(theta, allowed, scores, items):
    """The ``len(items)`` best allowed items and their scores, as a heap with the worst of them on top.

    An item is worse than another one where its score is smaller, or equal and its index larger.
    """
    k, start = len(items), 0
    for count in range(k):
        while not allowed[start]:
            start += 1
        node = count
        while node > 0 and scores[(node - 1) // 2] >= theta[start]:  # all before it have smaller indices
            scores[node], items[node] = scores[(node - 1) // 2], items[(node - 1) // 2]
            node = (node - 1) // 2
        scores[node], items[node] = theta[start], start
        start += 1
    least = scores[0]
    for i in range(start, len(theta)):
        score = theta[i]
        if score > least and allowed[i]:
            node = 0
            while 2 * node + 1 < k:
                child = 2 * node + 1
                if child + 1 < k and (
                    scores[child + 1] < scores[child]
                    or (scores[child + 1] == scores[child] and items[child + 1] > items[child])
                ):
                    child += 1
                if scores[child] >= score:
                    break
                scores[node], items[node] = scores[child], items[child]
                node = child
            scores[node], items[node] = score, i
            least = scores[0]


@njit(cache=True, nogil=True)
def top(theta, allowed, y, k):
    """``y[b]`` = 1 at the k largest allowed scores of ``theta[b]``, the first ones where some are equal; else 0."""
    scores, items = np.empty(k, theta.dtype), np.empty(k, np.int64)
    for b in range(len(theta)):
        y[b] = 0
        if k > 0:
            _best(theta[b], allowed[b], scores, items)
            for item in items:
                y[b, item] = 1


@njit(cache=True, nogil=True)
def _coins(scores, count, least, k, heads, tails):
    """Fill each coin's chances; return the log of ``Z`` over the chance of k heads. ``least`` is the k-th score."""
    for i in range(count):  # heads : tails = exp(score - least), the larger of them 1
        smaller = math.exp(-abs(scores[i] - least))
        heads[i], tails[i] = (1.0, smaller) if scores[i] > least else (smaller, 1.0)
    low, high = -math.log(2.0 * count), math.log(2.0 * k)  # here at most k - 1/2, there at least k - 1/2 are expected
    for _ in range(200):  # two or three; from 60 on the bracket holds neighbouring numbers
        level = 0.5 * (low + high)
        odds = math.exp(level)
        mean, variance = 0.0, 0.0
        for i in range(count):
            chance = heads[i] * odds / (heads[i] * odds + tails[i])
            mean += chance
            variance += chance * (1.0 - chance)
        if (mean - k) ** 2 <= 0.25 + variance:
            break
        if mean < k:
            low = level
        else:
            high = level
    best, above, log_product, product = 0.0, 0, 0.0, 1.0
    for i in range(count):
        both = heads[i] * odds + tails[i]
        heads[i] = heads[i] * odds / both
        tails[i] = tails[i] / both
        product *= both
        if not 1e-200 < product < 1e200:
            log_product += math.log(product)
            product = 1.0
        if scores[i] > least:
            best += scores[i]
            above += 1
    return best + (k - above) * least + log_product + math.log(product) - k * level


@njit(cache=True, nogil=True)
def _forward(heads, tails, count, chances, following, share, rest):
    """``share[i, c]``: given c heads among the coins up to i, the chance that i is one, and ``rest`` that it is not.

    Returns the chance of k heads. Only counts from which k can still be reached are kept.
    """
    k = len(chances) - 1
    chances[:], following[:] = 0.0, 0.0
    chances[0] = 1.0
    for i in range(count):
        first, last = max(0, k - (count - 1 - i)), min(i + 1, k)
        if first == 0:
            following[0] = tails[i] * chances[0]
            share[i, 0], rest[i, 0] = 0.0, 1.0
        for c in range(max(first, 1), last + 1):
            chosen, left = heads[i] * chances[c - 1], tails[i] * chances[c]
            total = chosen + left
            following[c] = total
            share[i, c] = chosen / total if total > 0.0 else 0.0
            rest[i, c] = left / total if total > 0.0 else 0.0
        chances, following = following, chances
    return chances[k]


@njit(cache=True, nogil=True)
def _backward(share, rest, count, mass, previous, items, marginals):
    """Mass at count k after the last coin, pushed back: what each coin moves down by one is its marginal."""
    k = len(mass) - 1
    mass[:] = 0.0
    mass[k] = 1.0
    for i in range(count - 1, -1, -1):
        first, last = max(0, k - (count - 1 - i)), min(i + 1, k)
        total = 0.0
        if first > 0:
            previous[first - 1] = 0.0
        for c in range(first, last + 1):
            previous[c] = mass[c] * rest[i, c]
            total += mass[c] * share[i, c]
        for c in range(max(first, 1), last + 1):
            previous[c - 1] += mass[c] * share[i, c]
        marginals[items[i]] = total
        mass, previous = previous, mass


@njit(cache=True, nogil=True)
def _forward_tangent(share, rest, count, direction, items, tangent, following, slope):
    """``slope`` = the tangent of ``share``; ``tangent`` that of the log of the chances, but for a common constant."""
    k = len(tangent) - 1
    tangent[:], following[:] = 0.0, 0.0
    for i in range(count):
        first, last = max(0, k - (count - 1 - i)), min(i + 1, k)
        if first == 0:
            following[0] = tangent[0]
            slope[i, 0] = 0.0
        for c in range(max(first, 1), last + 1):
            gain = tangent[c - 1] + direction[items[i]] - tangent[c]
            following[c] = tangent[c] + share[i, c] * gain
            slope[i, c] = share[i, c] * rest[i, c] * gain
        tangent, following = following, tangent


@njit(cache=True, nogil=True)
def _backward_tangent(share, rest, slope, count, work, items, product):
    """The tangent of :func:`_backward`."""
    mass, previous, moved, moved_previous = work
    k = len(mass) - 1
    mass[:], moved[:] = 0.0, 0.0
    mass[k] = 1.0
    for i in range(count - 1, -1, -1):
        first, last = max(0, k - (count - 1 - i)), min(i + 1, k)
        total = 0.0
        if first > 0:
            previous[first - 1], moved_previous[first - 1] = 0.0, 0.0
        for c in range(first, last + 1):
            previous[c] = mass[c] * rest[i, c]
            moved_previous[c] = moved[c] * rest[i, c] - mass[c] * slope[i, c]
            total += moved[c] * share[i, c] + mass[c] * slope[i, c]
        for c in range(max(first, 1), last + 1):
            previous[c - 1] += mass[c] * share[i, c]
            moved_previous[c - 1] += moved[c] * share[i, c] + mass[c] * slope[i, c]
        product[items[i]] = total
        mass, previous, moved, moved_previous = previous, mass, moved_previous, moved


@njit(cache=True, nogil=True)
def subset_marginals(theta, allowed, log_partition, marginals, k):
    """``log Z`` and ``E[y]`` of each row of ``theta``, over its allowed items."""
    batch, n = theta.shape
    items, scores, heads, tails = np.empty(n, np.int64), np.empty(n), np.empty(n), np.empty(n)
    best, places = np.empty(k), np.empty(k, np.int64)
    share, rest = np.zeros((n, k + 1)), np.zeros((n, k + 1))
    row, other = np.empty(k + 1), np.empty(k + 1)
    for b in range(batch):
        marginals[b] = 0.0
        log_partition[b] = 0.0
        if k > 0:
            count = _gather(theta[b], allowed[b], items, scores)
            _best(theta[b], allowed[b], best, places)
            log_scale = _coins(scores, count, best[0], k, heads, tails)
            log_partition[b] = log_scale + math.log(_forward(heads, tails, count, row, other, share, rest))
            _backward(share, rest, count, row, other, items, marginals[b])


@njit(cache=True, nogil=True)
def subset_product(theta, allowed, direction, product, k):
    """The covariance of ``y`` times ``direction``, row by row."""
    batch, n = theta.shape
    items, scores, heads, tails = np.empty(n, np.int64), np.empty(n), np.empty(n), np.empty(n)
    best, places = np.empty(k), np.empty(k, np.int64)
    share, rest, slope = np.zeros((n, k + 1)), np.zeros((n, k + 1)), np.zeros((n, k + 1))
    work = np.empty((4, k + 1))
    for b in range(batch):
        product[b] = 0.0
        if k > 0:
            count = _gather(theta[b], allowed[b], items, scores)
            _best(theta[b], allowed[b], best, places)
            _coins(scores, count, best[0], k, heads, tails)
            _forward(heads, tails, count, work[0], work[1], share, rest)
            _forward_tangent(share, rest, count, direction[b], items, work[0], work[1], slope)
            _backward_tangent(share, rest, slope, count, work, items, product[b])


@njit(cache=True, nogil=True)
def subset_shares(theta, allowed, share, rest, items, counts, k):
    """The tables of :func:`_forward`, ``(B, n, k + 1)``, for each row's allowed ``items`` and their number."""
    scores, heads, tails = np.empty((3, theta.shape[1]))
    best, places, row, other = np.empty(k), np.empty(k, np.int64), np.empty(k + 1), np.empty(k + 1)
    for b in range(len(theta)):
        counts[b] = _gather(theta[b], allowed[b], items[b], scores)
        _best(theta[b], allowed[b], best, places)
        _coins(scores, counts[b], best[0], k, heads, tails)
        _forward(heads, tails, counts[b], row, other, share[b], rest[b])
