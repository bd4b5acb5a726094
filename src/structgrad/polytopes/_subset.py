r"""k-subsets on the CPU: the top k, and the marginals of ``p(y) \propto exp <theta, y>`` with their tangents, compiled.

Given their number, the chosen items are independent coins conditioned on ``k`` heads (Chen, Dempster & Liu 1994),
whatever constant ``tau`` is taken off the scores: item i falls heads with probability ``sigmoid(theta_i - tau)``. With
``tau`` such that about ``k`` heads are expected, ``k`` is near the mode of their number, so that no count that matters
underflows, at any range of scores. A forward pass keeps, for each item and count, the share of outcomes in which that
item is the last one chosen, and the share in which it is not; mass pushed back through the shares, from ``k`` at the
end, gives the marginals. Nothing is subtracted, so that small marginals keep their digits. The tangent of each pass
gives the Hessian's product, exactly.

A row is treated by itself: what it yields does not depend on its batch. Nothing here knows a mask but ``_gather``.
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
def _kth_largest(scores, count, heap):
    """The smallest of the ``len(heap)`` largest of ``scores[:count]``: what a heap of those has on top."""
    k = len(heap)
    for j in range(k):
        score = scores[j]
        while j > 0 and heap[(j - 1) // 2] > score:
            heap[j] = heap[(j - 1) // 2]
            j = (j - 1) // 2
        heap[j] = score
    for j in range(k, count):
        score = scores[j]
        if score > heap[0]:
            node = 0
            while True:
                child = 2 * node + 1
                if child >= k:
                    break
                if child + 1 < k and heap[child + 1] < heap[child]:
                    child += 1
                if heap[child] >= score:
                    break
                heap[node] = heap[child]
                node = child
            heap[node] = score
    return heap[0]


@njit(cache=True, nogil=True)
def top(theta, allowed, y, k):
    """``y[b]`` = 1 at the k largest allowed scores of ``theta[b]``, the first ones where some are equal; else 0."""
    batch, n = theta.shape
    items, scores, heap = np.empty(n, np.int64), np.empty(n), np.empty(k)
    for b in range(batch):
        y[b] = 0
        if k == 0:
            continue
        count = _gather(theta[b], allowed[b], items, scores)
        least = _kth_largest(scores, count, heap)
        left = k
        for i in range(count):
            left -= scores[i] > least
        for i in range(count):
            if scores[i] > least:
                y[b, items[i]] = 1
            elif scores[i] == least and left > 0:
                y[b, items[i]] = 1
                left -= 1


@njit(cache=True, nogil=True)
def _coins(scores, count, heap, heads, tails):
    """Fill each coin's chances; return the log of ``Z`` over the chance of k heads."""
    k = len(heap)
    least = _kth_largest(scores, count, heap)
    for i in range(count):  # heads : tails = exp(score - least), the larger of them 1
        smaller = math.exp(-abs(scores[i] - least))
        heads[i], tails[i] = (1.0, smaller) if scores[i] > least else (smaller, 1.0)
    low, high = -math.log(2.0 * count), math.log(2.0 * k)  # here at most k - 1/2, there at least k - 1/2 are expected
    while True:
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
    items, scores, heap, heads, tails = np.empty(n, np.int64), np.empty(n), np.empty(k), np.empty(n), np.empty(n)
    share, rest = np.zeros((n, k + 1)), np.zeros((n, k + 1))
    row, other = np.empty(k + 1), np.empty(k + 1)
    for b in range(batch):
        marginals[b] = 0.0
        log_partition[b] = 0.0
        if k > 0:
            count = _gather(theta[b], allowed[b], items, scores)
            log_scale = _coins(scores, count, heap, heads, tails)
            log_partition[b] = log_scale + math.log(_forward(heads, tails, count, row, other, share, rest))
            _backward(share, rest, count, row, other, items, marginals[b])


@njit(cache=True, nogil=True)
def subset_product(theta, allowed, direction, product, k):
    """The covariance of ``y`` times ``direction``, row by row."""
    batch, n = theta.shape
    items, scores, heap, heads, tails = np.empty(n, np.int64), np.empty(n), np.empty(k), np.empty(n), np.empty(n)
    share, rest, slope = np.zeros((n, k + 1)), np.zeros((n, k + 1)), np.zeros((n, k + 1))
    work = np.empty((4, k + 1))
    for b in range(batch):
        product[b] = 0.0
        if k > 0:
            count = _gather(theta[b], allowed[b], items, scores)
            _coins(scores, count, heap, heads, tails)
            _forward(heads, tails, count, work[0], work[1], share, rest)
            _forward_tangent(share, rest, count, direction[b], items, work[0], work[1], slope)
            _backward_tangent(share, rest, slope, count, work, items, product[b])
