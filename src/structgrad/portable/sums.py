"""Sums and inner products in an order of their own, in float64.

A row has eight partial sums, of every eighth term each, added up in pairs at the end: as fast as memory allows, without
leave for the compiler to reorder anything. A column is added up in runs of 256 rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from math import fsum, sqrt
from operator import add

import numpy as np
import torch
from numba import njit
from torch import Tensor

from structgrad.parallel import run_kernel
from structgrad.portable.types import array, compiled

RUN = 256


def mean(x: Tensor) -> float:
    """The mean of all numbers, their sum exactly rounded; for the few that are shown or recorded."""
    return fsum(x.flatten().tolist()) / x.numel()


def total(numbers: Iterable[float]) -> float:
    """The numbers added up from the first to the last, each sum rounded by itself.

    Python's own ``sum`` does that up to 3.11; from 3.12 on it compensates, and gives other bits.
    """
    return reduce(add, numbers, 0.0)


def norm(x: Tensor) -> float:
    """The Euclidean norm of all numbers, the sum of their squares exactly rounded."""
    return sqrt(fsum((x.double() ** 2).flatten().tolist()))


def row_sums(x: Tensor) -> Tensor:
    """The sums over the last dimension of ``(..., n)``: ``(...)`` float64, without gradient."""
    if not compiled(x):
        return x.detach().sum(-1, dtype=torch.float64)
    totals = torch.empty(x.shape[:-1], dtype=torch.float64, device="cpu")
    run_kernel(_row_sums, _rows(x), totals.view(-1).numpy())
    return totals


def dots(a: Tensor, b: Tensor) -> Tensor:
    """``sum_i a_i b_i`` over the last dimension of two tensors ``(..., n)``: ``(...)`` float64, without gradient.

    Products of float32 numbers are exact.
    """
    if not compiled(a, b):
        return (a.detach().double() * b.detach().double()).sum(-1)
    products = torch.empty(a.shape[:-1], dtype=torch.float64, device="cpu")
    run_kernel(_dots, _rows(a), _rows(b), products.view(-1).numpy())
    return products


def column_sums(x: Tensor) -> Tensor:
    """The sums over the rows of every matrix ``(R, m, n)``: ``(R, n)`` in its own precision, without gradient."""
    if not compiled(x):
        return x.detach().sum(1)
    totals = torch.empty(len(x), x.shape[2], dtype=x.dtype, device="cpu")
    run_kernel(_column_sums, array(x), totals.numpy())
    return totals


def _rows(x: Tensor) -> np.ndarray:
    return array(x).reshape(x.shape[:-1].numel(), x.shape[-1])


@njit(cache=True, nogil=True)
def _column_sums(x, out):
    replicas, m, n = x.shape
    run = np.empty(n, x.dtype)
    for r in range(replicas):
        out[r] = 0
        for start in range(0, m, RUN):
            run[:] = 0
            for i in range(start, min(start + RUN, m)):
                for j in range(n):
                    run[j] += x[r, i, j]
            for j in range(n):
                out[r, j] += run[j]


@njit(cache=True, nogil=True)
def _row_sums(x, out):
    rows, n = x.shape
    whole = n - n % 8
    for row in range(rows):
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
        for i in range(0, whole, 8):
            s0 += x[row, i]
            s1 += x[row, i + 1]
            s2 += x[row, i + 2]
            s3 += x[row, i + 3]
            s4 += x[row, i + 4]
            s5 += x[row, i + 5]
            s6 += x[row, i + 6]
            s7 += x[row, i + 7]
        total = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
        for i in range(whole, n):
            total += x[row, i]
        out[row] = total


@njit(cache=True, nogil=True)
def _dots(a, b, out):
    rows, n = a.shape
    whole = n - n % 8
    for row in range(rows):
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
        for i in range(0, whole, 8):
            s0 += float(a[row, i]) * float(b[row, i])
            s1 += float(a[row, i + 1]) * float(b[row, i + 1])
            s2 += float(a[row, i + 2]) * float(b[row, i + 2])
            s3 += float(a[row, i + 3]) * float(b[row, i + 3])
            s4 += float(a[row, i + 4]) * float(b[row, i + 4])
            s5 += float(a[row, i + 5]) * float(b[row, i + 5])
            s6 += float(a[row, i + 6]) * float(b[row, i + 6])
            s7 += float(a[row, i + 7]) * float(b[row, i + 7])
        total = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
        for i in range(whole, n):
            total += float(a[row, i]) * float(b[row, i])
        out[row] = total
