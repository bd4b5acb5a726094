"""Paths across a grid from its top-left to its bottom-right cell."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.arguments import count
from structgrad.polytopes._grid_path import MOVES, cheapest_paths
from structgrad.polytopes._tensors import on_cpu, run_tensors
from structgrad.polytopes.base import Polytope


class GridPath(Polytope):
    """Cells ``y`` of shape ``(h, w)``, 1 on a path from the top-left to the bottom-right cell, both included.

    Scores are negative costs of cells, ``theta = -cost``, and the maximiser is the cheapest path (berthet, section 5.3;
    Vlastelica et al. 2020). Scores above zero, which noise produces, count as zero: what is found maximises
    ``<min(theta, 0), y>``. With negative costs the problem is that of the longest path, which is NP-hard.

    Of equally cheap paths (by float64 sums from the first cell on) it is one with the fewest cells; among these it
    goes, at each step, right, down, left or up before it goes diagonally.

    Because of the zero the maximum is no convex function of the scores: where noise lifts a score of the path above it,
    :meth:`structgrad.layers.Perturbed.potential`, and Fenchel-Young losses with it, raise ValueError. Noise that keeps
    signs does not: :class:`structgrad.layers.PerturbedMultiplicative`.

    Args:
        h, w: rows and columns.
        neighbours: 8, or 4 for no diagonal steps.
    """

    adds = True
    nonpositive = True

    def __init__(self, h: int, w: int, neighbours: int = 8) -> None:
        h, w = count(h, "h"), count(w, "w")
        if neighbours not in (4, 8):
            raise ValueError(f"neighbours must be 4 or 8, not {neighbours}")
        self.h, self.w, self.neighbours = h, w, neighbours
        self.event_shape = (h, w)

    def _argmax(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        return on_cpu(self._paths, theta.reshape(-1, self.h, self.w).contiguous()).view(theta.shape)

    def _paths(self, scores: Tensor) -> Tensor:
        paths = torch.zeros_like(scores)
        run_tensors(cheapest_paths, scores, self.neighbours, paths)
        return paths

    def vertices(self) -> Tensor:
        paths = set()
        path = []  # cells of the walk so far; every simple walk is tried

        def walk(i: int, j: int) -> None:
            path.append((i, j))
            if (i, j) == (self.h - 1, self.w - 1):
                paths.add(tuple(sorted(path)))  # two orders of the same cells are one structure
            else:
                for down, right in MOVES[: self.neighbours].tolist():
                    cell = i + down, j + right
                    if 0 <= cell[0] < self.h and 0 <= cell[1] < self.w and cell not in path:
                        walk(*cell)
            path.pop()

        walk(0, 0)
        vertices = torch.zeros(len(paths), self.h, self.w, dtype=torch.float64, device="cpu")
        for vertex, cells in zip(vertices, sorted(paths), strict=True):
            vertex[tuple(zip(*cells, strict=True))] = 1.0
        return vertices
