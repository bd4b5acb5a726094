"""Linear assignment by shortest augmenting paths, compiled; the second of a pair of problems starts warm.

The primal-dual method of Jonker and Volgenant (1987), as Crouse (2016) states it, on a dense matrix: column prices
``v`` keep ``theta_ij - v_j <= u_i`` for all i, j with equality on matched pairs; rows that a greedy pass leaves free
are matched by a Dijkstra search over reduced scores. Prices stay good when the scores change a little: the perturbed
problem of a finite difference costs a tenth of the first one, and problems of one training set, solved one after
another from the prices of the one before, cost a third. The optimum does not depend on where the search starts, but
its digits do: reduced scores are rounded to those of the prices. So prices go on to the next problem only where they
are not much larger than its scores (:func:`_harmless`); elsewhere it starts from its own. What rounding may then cost
is a few units of the last place of the problem's own largest score, as it would from a cold start.

A problem with fewer rows than columns is the square one with rows of zeros below, all of them alike: one row stands for
all of them. It holds the columns of the lowest price, and a search that reaches one of them has reached them all.

Scores are at most 1e290 (``_range``), so that no sum overflows. Each loop ends by construction; if one did not, the
call would report it.

Measured against scipy's ``linear_sum_assignment`` in ``benchmarks/``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# How much larger than a problem's scores prices may be: float64 keeps 53 bits, of which the scores have 24 or all.
CARRIED_32, CARRIED_64 = 2.0**20, 2.0**4


@njit(cache=True, nogil=True, inline="always")
def _harmless(scores, prices, carried):
    """Whether no price is more than ``carried`` times the largest score; as a rule the very first score will do."""
    bound = carried * abs(scores[0, 0])
    for j in range(len(prices)):
        if abs(prices[j]) > bound:
            return _bounded(scores, prices, carried)
    return True


@njit(cache=True, nogil=True)
def _bounded(scores, prices, carried):
    """The same from the first row's scores, and if need be from all."""
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
    for i in range(len(scores)):
        for j in range(len(prices)):
            score = max(score, abs(scores[i, j]))
    return price <= carried * score


@njit(cache=True, nogil=True)
def _hold(prices, column_to_row, n):
    """Give the row of zeros, ``n``, the columns that n rows leave over: those of lowest price, raised to one level."""
    left = len(prices) - n
    level = np.partition(prices, left - 1)[left - 1]
    for below in (True, False):  # ties at the level go by the order of columns
        for j in range(len(prices)):
            if left > 0 and (prices[j] < level if below else prices[j] == level and column_to_row[j] < 0):
                column_to_row[j] = n
                prices[j] = level
                left -= 1


@njit(cache=True, nogil=True)
def _search(scores, prices, row_to_column, column_to_row, parent, distance, closed, held):
    """Match every row of a problem, from the prices given; they end optimal. False: it cannot be done.

    ``scores`` are ``n x n``, or have more columns and a row of zeros below the n rows; ``held`` is None for the former,
    which the compiler then keeps apart.
    """
    n = rows = m = scores.shape[0]
    if held is not None:
        n, m = rows - 1, scores.shape[1]
    for j in range(m):
        column_to_row[j] = -1
    if held is not None:
        _hold(prices, column_to_row, n)
    for i in range(n):  # greedy: each row takes its best column at these prices, if it is still free
        row_to_column[i] = -1
        best = -np.inf
        best_column = 0
        for j in range(m):
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
        for j in range(m):
            profit = max(profit, scores[free_row, j] - prices[j])
            distance[j] = np.inf
            closed[j] = False
        row = free_row
        reached = 0.0
        column = -1
        for _ in range(rows):  # each round closes a column
            nearest = np.inf
            column = -1
            for j in range(m):
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
            if held is not None and row == n:
                held[0] = column
                _close_held(column_to_row, distance, closed, n, reached)
        for j in range(m):
            if closed[j]:
                prices[j] += reached - distance[j]
        for _ in range(rows):  # flip the path back to the row that started it
            row = parent[column]
            column_to_row[column] = row
            if held is not None and row == n:
                prices[column] = prices[held[0]]  # but for rounding it is
                column = held[0]
                continue
            column, row_to_column[row] = row_to_column[row], column
            if row == free_row:
                break
    return True


@njit(cache=True, nogil=True)
def _close_held(column_to_row, distance, closed, row, reached):
    """Close all columns of the row of zeros: none is nearer than the first of them, from which it costs nothing."""
    for j in range(len(distance)):
        if column_to_row[j] == row:
            distance[j], closed[j] = reached, True


@njit(cache=True, nogil=True, inline="always")
def _copy(theta, scores):
    """Entry by entry: an assignment of whole small matrices costs more than its numbers."""
    n, m = theta.shape
    for i in range(n):
        for j in range(m):
            scores[i, j] = theta[i, j]


@njit(cache=True, nogil=True)
def _column_maxima(scores, prices):
    for j in range(len(prices)):
        prices[j] = scores[0, j]
    for i in range(1, len(scores)):
        for j in range(len(prices)):
            prices[j] = max(prices[j], scores[i, j])


@njit(cache=True, nogil=True)
def assign(theta, chain, carried, held, columns):
    """``columns[b, i]`` = the column of row i in the best assignment of ``theta[b]``, in float64; False: no number.

    Every ``chain`` problems in a row lie near each other: all but the first start from the prices before them, unless
    these are more than ``carried`` times their scores. ``held``: None for square problems, room for one number for
    those of more columns.
    """
    batch, n, m = theta.shape
    scores, prices = np.zeros((n if held is None else n + 1, m)), np.empty(m)
    column_to_row, parent = np.empty(m, np.int64), np.empty(m, np.int64)
    distance, closed = np.empty(m), np.empty(m, np.bool_)
    for b in range(batch):
        _copy(theta[b], scores)
        if b % chain == 0 or not _harmless(scores, prices, carried):
            _column_maxima(scores, prices)
        if not _search(scores, prices, columns[b], column_to_row, parent, distance, closed, held):
            return False
    return True


@njit(cache=True, nogil=True)
def assign_pair(theta, other, chain, carried, held, columns, other_columns):
    """:func:`assign` for both problems of each pair, the second from the first one's prices."""
    batch, n, m = theta.shape
    scores, prices, others = np.zeros((n if held is None else n + 1, m)), np.empty(m), np.empty(m)
    column_to_row, parent = np.empty(m, np.int64), np.empty(m, np.int64)
    distance, closed = np.empty(m), np.empty(m, np.bool_)
    for b in range(batch):
        _copy(theta[b], scores)
        if b % chain == 0 or not _harmless(scores, prices, carried):
            _column_maxima(scores, prices)
        if not _search(scores, prices, columns[b], column_to_row, parent, distance, closed, held):
            return False
        for j in range(m):
            others[j] = prices[j]
        _copy(other[b], scores)
        if not _harmless(scores, others, carried):
            _column_maxima(scores, others)
        if not _search(scores, others, other_columns[b], column_to_row, parent, distance, closed, held):
            return False
    return True


@njit(cache=True, nogil=True)
def reduce(scores, held, owners):
    """Take prices and profits of the best assignment off scores: what it pairs is zero then, and nothing is above.

    Each problem starts from its own prices. Fewer rows than columns come with the row of zeros below them, which holds
    what they leave over. ``owners[b, j]`` = the row that holds column j. False: it cannot be done.
    """
    batch, rows, m = scores.shape
    columns, prices, profits = np.empty(rows if held is None else rows - 1, np.int64), np.empty(m), np.empty(rows)
    parent, distance, closed = np.empty(m, np.int64), np.empty(m), np.empty(m, np.bool_)
    for b in range(batch):
        own = scores[b]
        _column_maxima(own, prices)
        if not _search(own, prices, columns, owners[b], parent, distance, closed, held):
            return False
        for j in range(m):
            profits[owners[b, j]] = own[owners[b, j], j] - prices[j]
        for i in range(rows):
            for j in range(m):  # above zero by rounding alone
                own[i, j] = 0.0 if owners[b, j] == i else min(own[i, j] - prices[j] - profits[i], 0.0)
    return True
