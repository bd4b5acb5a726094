"""Vertices in pairs: the n (n - 1) directed edges, receivers row by row, and the n (n - 1) / 2 undirected ones."""

from __future__ import annotations

import torch
from torch import Tensor


def directed(n: int) -> tuple[Tensor, Tensor]:
    """Senders and receivers of the directed edges: receiver 0 from 1, 2, ..., receiver 1 from 0, 2, ..."""
    receivers, senders = torch.nonzero(~torch.eye(n, dtype=torch.bool), as_tuple=True)
    return senders, receivers


def undirected_of(n: int) -> Tensor:
    """The place of each directed edge among the undirected ones, which are in the order of ``SpanningTree``."""
    row, column = torch.triu_indices(n, n, 1)
    number = torch.zeros(n, n, dtype=torch.int64)
    number[row, column] = number[column, row] = torch.arange(len(row))
    senders, receivers = directed(n)
    return number[receivers, senders]


def both_ways(n: int) -> Tensor:
    """The two directed edges of each undirected one, ``(n (n - 1) / 2, 2)``: the inverse of :func:`undirected_of`."""
    return undirected_of(n).argsort(stable=True).view(-1, 2)
