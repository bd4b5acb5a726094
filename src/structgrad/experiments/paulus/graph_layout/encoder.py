"""The NRI encoder on the factor graph: from trajectories to a score for each directed edge.

(docs/protocols/paulus.md, 1.2.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from structgrad.experiments.paulus.graph_layout.layers import Block, xavier_linear


class Encoder(nn.Module):
    """Vertices, then edges, then vertices, then edges, each through a :class:`Block`; ``types`` logits an edge."""

    def __init__(self, frames: int, width: int, types: int, generator: torch.Generator) -> None:
        super().__init__()
        self.vertices = Block(2 * frames, width, generator)
        self.edges = Block(2 * width, width, generator)
        self.vertices_again = Block(width, width, generator)
        self.edges_again = Block(3 * width, width, generator)
        self.out = xavier_linear(width, types, generator)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(B, n (n - 1), types)`` and the features ``(B, n (n - 1), width)`` that they are linear in.

        Args:
            frames: ``(B, n, T, 2)``.
        """
        batch, n = frames.shape[:2]
        edges = self.edges.of_pairs(self.vertices(frames.flatten(2)))
        incoming = edges.view(batch, n, n - 1, -1).sum(2) / n  # n, not n - 1: as released
        features = self.edges_again.of_pairs(self.vertices_again(incoming), edges)
        return self.out(features), features
