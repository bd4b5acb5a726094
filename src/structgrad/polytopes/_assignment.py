"""Linear assignment by shortest augmenting paths, compiled; the second of a pair of problems starts warm.

The primal-dual method of Jonker and Volgenant (1987), as Crouse (2016) states it, on a dense matrix: column prices
``v`` keep ``theta_ij - v_j <= u_i`` for all i, j with equality on matched pairs; rows that a greedy pass leaves free
are matched by a Dijkstra search over reduced scores. Prices stay good when the scores change a little: the perturbed
problem of a finite difference costs a tenth of the first one, and problems of one training set, solved one after
another from the prices of the one before, cost a third. The optimum does not depend on where the search starts, but
its digits do: reduced scores are rounded to those of the prices. So prices go on to the next problem only where they
are not much larger than its scores (:func:`_harmless`); elsewhere it starts from its own. What rounding may then cost
is a few units of the last place of the problem's own largest score, as it would from a cold start.

Scores are at most 1e290 (``_range``), so that no sum overflows. Each loop ends by construction; were one not to, it
would say so.

Measured against scipy's ``linear_sum_assignment`` in ``benchmarks/``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# How much larger than a problem's scores prices may be: float64 keeps 53 bits, of which the scores have 24 or all.
CARRIED_32, CARRIED_64 = 2.0**20, 2.0**4


@njit(cache=True, nogil=True, inline="always")
def _harmless(scores, prices, carried):
    """Whether no price is more than ``carried`` times the largest score; as a rule the first row's will do."""
    price, score = 0.0, 0.0
    for j in range(len(prices)):
        price, score = max(price, abs(prices[j])), max(score, abs(scores[0, j]))
    return price <= carried * score or _recentred(scores, prices, carried)


@njit(cache=True, nogil=True)
def _recentred(scores, prices, carried):
    """The same for all scores, with the first price taken off all of them, which changes no search.

    Searches only ever raise prices: in a long chain they drift away.
    """
    price, score, first = 0.0, 0.0, prices[0]
    for j in range(len(prices)):
        prices[j] -= first
        price = max(price, abs(prices[j]))
    for i in range(len(prices)):
        for j in range(len(prices)):
            score = max(score, abs(scores[i, j]))
    return price <= carried * score


@njit(cache=True, nogil=True)
def _search(scores, prices, row_to_column, column_to_row, parent, distance, closed):
    """Match every row of one ``n x n`` problem, from the prices given; they end optimal. False: it cannot be done."""
    n = scores.shape[0]
    for j in range(n):
        column_to_row[j] = -1
    for i in range(n):  # greedy: each row takes its best column at these prices, if it is still free
        row_to_column[i] = -1
        best = -np.inf
        best_column = 0
        for j in range(n):
            profit = scores[i, j] - prices[j]
            if profit > best:
                best = profit
                best_column = j
        if column_to_row[best_column] < 0:
            column_to_row[best_column] = i
            row_to_column[i] = best_column

    for free_row in range(n):
        if row_to_column[free_row] >= 0:
            continue
        profit = -np.inf
        for j in range(n):
            profit = max(profit, scores[free_row, j] - prices[j])
            distance[j] = np.inf
            closed[j] = False
        row = free_row
        reached = 0.0
        column = -1
        for _ in range(n):  # each round closes a column
            nearest = np.inf
            column = -1
            for j in range(n):
                if not closed[j]:
                    through = reached + (prices[j] - scores[row, j] + profit)
                    if through < distance[j]:
                        distance[j] = through
                        parent[j] = row
                    if distance[j] < nearest:
                        nearest = distance[j]
                        column = j
            if column < 0:
                return False
            reached = nearest
            closed[column] = True
            if column_to_row[column] < 0:
                break
            row = column_to_row[column]
            profit = scores[row, column] - prices[column]
        for j in range(n):
            if closed[j]:
                prices[j] += reached - distance[j]
        for _ in range(n):  # flip the path back to the row that started it
            row = parent[column]
            column_to_row[column] = row
            column, row_to_column[row] = row_to_column[row], column
            if row == free_row:
                break
    return True


@njit(cache=True, nogil=True)
def _column_maxima(scores, prices):
    n = scores.shape[0]
    for j in range(n):
        prices[j] = scores[0, j]
    for i in range(1, n):
        for j in range(n):
            prices[j] = max(prices[j], scores[i, j])


@njit(cache=True, nogil=True)
def assign(theta, chain, carried, columns):
    """``columns[b, i]`` = the column of row i in the best assignment of ``theta[b]``, in float64; False: no number.

    Every ``chain`` problems in a row lie near each other: all but the first start from the prices before them, unless
    these are more than ``carried`` times their scores.
    """
    batch, n = columns.shape
    scores, prices = np.empty((n, n)), np.empty(n)
    column_to_row, parent = np.empty(n, np.int64), np.empty(n, np.int64)
    distance, closed = np.empty(n), np.empty(n, np.bool_)
    for b in range(batch):
        scores[:] = theta[b]
        if b % chain == 0 or not _harmless(scores, prices, carried):
            _column_maxima(scores, prices)
        if not _search(scores, prices, columns[b], column_to_row, parent, distance, closed):
            return False
    return True


@njit(cache=True, nogil=True)
def assign_pair(theta, other, chain, carried, columns, other_columns):
    """:func:`assign` for both problems of each pair, the second from the first one's prices."""
    batch, n = columns.shape
    scores, prices, others = np.empty((n, n)), np.empty(n), np.empty(n)
    column_to_row, parent = np.empty(n, np.int64), np.empty(n, np.int64)
    distance, closed = np.empty(n), np.empty(n, np.bool_)
    for b in range(batch):
        scores[:] = theta[b]
        if b % chain == 0 or not _harmless(scores, prices, carried):
            _column_maxima(scores, prices)
        if not _search(scores, prices, columns[b], column_to_row, parent, distance, closed):
            return False
        others[:] = prices
        scores[:] = other[b]
        if not _harmless(scores, others, carried):
            _column_maxima(scores, others)
        if not _search(scores, others, other_columns[b], column_to_row, parent, distance, closed):
            return False
    return True
