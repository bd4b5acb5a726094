"""Spanning trees of a graph on n vertices, as sets of undirected edges."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.polytopes._ranked import ranked
from structgrad.polytopes._spanning_tree import maximum_trees
from structgrad.polytopes._tensors import on_cpu
from structgrad.polytopes.arborescence import Arborescence
from structgrad.polytopes.matrix_tree import MatrixTree


class SpanningTree(MatrixTree):
    r"""Indicators ``y`` of shape ``(n (n - 1) / 2,)`` of the edges of spanning trees (paulus, section 6).

    Edges ``(i, j)`` with ``i < j`` come row by row of the upper triangle: (0, 1), (0, 2), ..., (1, 2), ...
    The maximiser is the maximum spanning tree; of edges whose scores are equal it prefers those that come first. The
    partition function is Kirchhoff's determinant, exact for scores of any finite range.

    A mask says which edges may be used. A vertex without any is absent (padding); the others must be connected. With
    no edge at all the graph is one vertex, whose only tree is empty.
    """

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.event_shape = (n * (n - 1) // 2,)
        row, column = torch.triu_indices(n, n, 1, device="cpu")
        self._index = torch.full((n, n), len(row), device="cpu")
        self._index[row, column] = self._index[column, row] = torch.arange(len(row), device="cpu")

    def matrix(self, y: Tensor) -> Tensor:
        """Symmetric matrices ``(..., n, n)`` with zero diagonal from edges ``(..., n (n - 1) / 2)``; differentiable."""
        if y.shape[-1:] != self.event_shape:
            raise ValueError(f"y must end in {self.event_shape}, not {tuple(y.shape)}")
        return self._matrix(y)

    def vector(self, matrix: Tensor) -> Tensor:
        """The upper triangles ``(..., n (n - 1) / 2)`` of matrices ``(..., n, n)``; differentiable."""
        if tuple(matrix.shape[-2:]) != (self.n, self.n):
            raise ValueError(f"matrix must end in {(self.n, self.n)}, not {tuple(matrix.shape)}")
        row, column = torch.triu_indices(self.n, self.n, 1, device=matrix.device)
        return matrix.flatten(-2).index_select(-1, row * self.n + column)

    def lengths_mask(self, lengths: Tensor) -> Tensor:
        """The edges ``(..., n (n - 1) / 2)`` of the complete graphs on the first ``lengths`` ``(...)`` vertices.

        Raises:
            ValueError: a length below 1 or above n.
        """
        inside = self._first(lengths, least=1)
        return self.vector(inside.unsqueeze(-1) & inside.unsqueeze(-2))

    def vertices(self) -> Tensor:
        directed = Arborescence(self.n).vertices()
        return self.vector(directed + directed.mT)

    def _argmax(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        scores = self._flat(theta).double()
        allowed = self._allowed(scores, mask)
        return on_cpu(self._used, scores, allowed).view(theta.shape).to(theta.dtype)

    def _used(self, scores: Tensor, allowed: Tensor) -> Tensor:
        used = torch.empty_like(allowed)
        self._run(maximum_trees, scores, allowed, used)
        return used

    def _argmax_forced(self, theta: Tensor, allowed: Tensor, forced: Tensor) -> Tensor:
        return self._argmax(ranked(theta, forced), allowed)

    def _structure(self) -> str:
        return "spanning tree"
