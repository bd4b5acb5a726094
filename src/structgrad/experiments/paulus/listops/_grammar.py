"""Expressions drawn from the grammar and read, compiled. ``tokens`` ``(B, L)`` hold symbols of ``vocabulary``."""

from __future__ import annotations

import numpy as np
from numba import njit

from structgrad.experiments.paulus.listops.vocabulary import CLOSE, MAX, MED, MIN, PAD

OPERATOR_SHARE = 0.25
OPERATORS = 3
FEWEST, MOST = 2, 5  # operands
DIGITS = 10


@njit(cache=True)
def draw(generator, wanted, tokens, lengths):
    """Fill the rows with independent expressions, each as long as ``tokens`` is wide or shorter.

    The grammar's own distribution (Nangia & Bowman 2018): a node is an operator with probability 1/4, of one of three
    kinds and with 2 to 5 operands, each equally likely, and else a digit; conditioned, by rejection, on the length and
    on a height h with ``wanted[h]``. (The original makes digits only from a depth of 20 on, which no height reaches
    that one may want.)
    """
    highest = len(wanted) - 1
    left = np.empty(highest, np.int64)  # operands that the open operators still wait for
    for row in range(len(tokens)):
        accepted = False
        while not accepted:
            tokens[row] = PAD
            length = depth = height = 0
            while length < tokens.shape[1]:
                if generator.random() < OPERATOR_SHARE:
                    if depth == highest:
                        break
                    tokens[row, length] = MIN + int(generator.random() * OPERATORS)
                    left[depth] = FEWEST + int(generator.random() * (MOST - FEWEST + 1))
                    depth += 1
                    height = max(height, depth)
                    length += 1
                    continue
                tokens[row, length] = int(generator.random() * DIGITS)
                length += 1
                while depth > 0:
                    left[depth - 1] -= 1
                    if left[depth - 1] > 0 or length == tokens.shape[1]:
                        break
                    tokens[row, length] = CLOSE
                    length += 1
                    depth -= 1
                if depth == 0:
                    accepted = wanted[height]
                    break
        lengths[row] = length


@njit(cache=True)
def parse(tokens, lengths, parents, heights, values):
    """Read expressions: each symbol's operator (-1 for the first), the height of the operators' tree, the value.

    A closing bracket belongs to the operator that it closes. ``heights`` is -1 where a row is no expression.
    """
    width = tokens.shape[1]
    opened, counts = np.empty(width, np.int64), np.empty((width, DIGITS), np.int64)
    for row in range(len(tokens)):
        parents[row] = -1
        heights[row] = -1
        depth = height = 0
        value = -1
        for place in range(lengths[row]):
            token = tokens[row, place]
            if value >= 0 or token >= PAD:  # the expression was complete before
                value = -1
                break
            if depth > 0:
                parents[row, place] = opened[depth - 1]
            if token < DIGITS:
                value = token
            elif token == CLOSE:
                if depth == 0 or counts[depth - 1].sum() == 0:
                    break
                depth -= 1
                value = _apply(tokens[row, opened[depth]], counts[depth])
            else:
                opened[depth] = place
                counts[depth] = 0
                depth += 1
                height = max(height, depth)
                continue
            if depth > 0:
                counts[depth - 1, value] += 1
                value = -1
        if value >= 0:
            heights[row] = height
            values[row] = value


@njit(cache=True)
def _apply(operator, counts):
    """An operator's value from how often each digit is among its operands."""
    total = counts.sum()
    if operator == MIN:
        return _ranked(counts, 0)
    if operator == MAX:
        return _ranked(counts, total - 1)
    if operator == MED:  # the original takes the integer part of the median
        return (_ranked(counts, (total - 1) // 2) + _ranked(counts, total // 2)) // 2
    return (counts * np.arange(DIGITS)).sum() % 10


@njit(cache=True)
def _ranked(counts, rank):
    """The digit of that rank, from 0, in ascending order."""
    digit = 0
    below = counts[0]
    while below <= rank:
        digit += 1
        below += counts[digit]
    return digit
