"""Parses that nobody learned: what the recovery of edges is to be held against."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.experiments.paulus.listops.batches import Batch
from structgrad.experiments.paulus.listops.vocabulary import MIN, SM


def edges_of(reference: str, batch: Batch, generator: torch.Generator) -> Tensor:
    """Edges ``(B, n, n)`` of the reference of that name; those at padding are not scored."""
    match reference:
        case "nearest_operator":
            return _from_parents(nearest_operator(batch))
        case "all_to_root":
            return _from_parents(torch.zeros_like(batch.tokens))
        case "uniform_arborescence":
            return _from_parents(uniform_tree(batch.lengths, batch.tokens.shape[1], generator))
        case _:
            directed = _from_parents(uniform_tree(batch.lengths, batch.tokens.shape[1], generator))
            return directed + directed.mT


def nearest_operator(batch: Batch) -> Tensor:
    """The place of the last operator before each symbol, closed or not, ``(B, n)``; 0 for the first."""
    places = torch.arange(batch.tokens.shape[1])
    operators = torch.where((batch.tokens >= MIN) & (batch.tokens <= SM), places, 0)
    return torch.cat([torch.zeros_like(operators[:, :1]), operators.cummax(1).values[:, :-1]], 1)


def uniform_tree(lengths: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Parents ``(B, n)`` in a tree drawn uniformly from those on the first ``lengths`` vertices, rooted at vertex 0.

    The first entries of a random walk on the complete graph make such a tree (Aldous 1990, algorithm 2): in the order
    of their discovery, which is random, vertex k has for a parent the one before it with probability 1 - (k - 1) / m,
    each of those before that with 1 / m, for k = 1, ... and m vertices.
    """
    places = torch.arange(n)
    keys = torch.rand(len(lengths), n, generator=generator)
    keys[:, 0] = -1.0
    keys = torch.where(places < lengths.unsqueeze(-1), keys, 2.0 + places)  # padding last
    discovered = keys.argsort(-1)  # the root first
    jump = (torch.rand(len(lengths), n, generator=generator) * lengths.unsqueeze(-1)).long()
    before = torch.minimum(jump, (places - 1).clamp(min=0))
    return torch.zeros_like(discovered).scatter_(1, discovered, discovered.gather(1, before))


def _from_parents(parents: Tensor) -> Tensor:
    """Matrices with an edge from each vertex's parent; none to the first vertex."""
    edges = (parents.unsqueeze(-2) == torch.arange(parents.shape[1]).unsqueeze(-1)).float()
    edges[..., 0] = 0.0
    return edges
