"""Shortest paths on a grid by scipy's Dijkstra, one grid after another."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor


def pattern(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Row starts and columns of the adjacency of a grid where a cell has eight neighbours."""
    starts, columns = [0], []
    for i in range(height):
        for j in range(width):
            for a in range(max(0, i - 1), min(height, i + 2)):
                for b in range(max(0, j - 1), min(width, j + 2)):
                    if (a, b) != (i, j):
                        columns.append(a * width + b)
            starts.append(len(columns))
    return np.array(starts, np.int32), np.array(columns, np.int32)


def grid_paths(theta: Tensor, starts: np.ndarray, columns: np.ndarray) -> Tensor:
    """Indicators ``(B, h, w)`` of the best paths from corner to corner, scores ``theta <= 0`` on the cells."""
    costs = -theta.flatten(1).double().numpy()
    paths = np.zeros_like(costs)
    cells = costs.shape[1]
    for b in range(len(costs)):
        graph = csr_array((costs[b, columns], columns, starts), shape=(cells, cells))
        _, before = dijkstra(graph, indices=0, return_predecessors=True)
        cell = cells - 1
        while cell >= 0:
            paths[b, cell] = 1
            cell = before[cell]
    return torch.from_numpy(paths).to(theta.dtype).view(theta.shape)
