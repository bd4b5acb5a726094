"""Edges that nothing learned: those that the last frame suggests, and chance."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.experiments.paulus.graph_layout.data import Graphs
from structgrad.experiments.paulus.graph_layout.metrics import recovery, report
from structgrad.experiments.paulus.graph_layout.pairs import undirected_of
from structgrad.polytopes.spanning_tree import SpanningTree
from structgrad.polytopes.subset import Subset
from structgrad.training.results import Mean


def nearness(frames: Tensor) -> Tensor:
    """Minus the distance of each pair of vertices in the last frame, ``(N, n (n - 1) / 2)`` float64."""
    last = frames[:, :, -1].double()
    return -SpanningTree(last.shape[1]).vector((last.unsqueeze(1) - last.unsqueeze(2)).norm(dim=-1))


def reference(name: str, graphs: Graphs, generator: torch.Generator) -> dict[str, Mean]:
    """The metrics of ``nearest_tree`` (the minimum-distance spanning tree), ``closest_pairs`` (the n - 1 shortest
    distances) or ``chance`` (any n - 1 pairs); there is no bound on the evidence.
    """
    n, scores = graphs.frames.shape[1], nearness(graphs.frames)
    if name == "chance":
        scores = torch.rand(scores.shape, generator=generator, dtype=scores.dtype)
    polytope = SpanningTree(n) if name == "nearest_tree" else Subset(scores.shape[-1], n - 1)
    chosen = polytope.argmax(scores)[:, undirected_of(n)] > 0
    return report(*recovery(chosen, graphs.edges))
