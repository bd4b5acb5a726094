"""Maps to find shortest paths on: pictures of terrain, the costs behind them, and the paths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from structgrad.polytopes.grid_path import GridPath

SIDE, TILE = 12, 8  # cells along a side of a map, pixels along a side of a cell


@dataclass(frozen=True, eq=False)
class Maps:
    """N square maps of 12 x 12 cells, drawn as tiles of 8 x 8 pixels.

    Attributes:
        images: ``(N, 96, 96, 3)`` uint8.
        costs: of entering each cell, ``(N, 12, 12)`` float64, positive.
        paths: 1 on the cells of a cheapest path from the top-left to the bottom-right cell, both included, by steps to
            any of 8 neighbours; ``(N, 12, 12)`` uint8.
    """

    images: np.ndarray
    costs: np.ndarray
    paths: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice) -> Maps:
        return Maps(self.images[rows], self.costs[rows], self.paths[rows])


def costs_of(costs: np.ndarray, paths: np.ndarray) -> np.ndarray:
    """What each path costs, its first cell included; ``(N, 12, 12)`` of each to ``(N,)``."""
    return (costs * paths).sum((-2, -1))


def cheapest(costs: np.ndarray) -> np.ndarray:
    """A cheapest path for each of the costs, ``(N, 12, 12)`` uint8."""
    return GridPath(SIDE, SIDE).argmax(torch.from_numpy(-costs)).numpy().astype(np.uint8)


def are_paths(cells: np.ndarray) -> np.ndarray:
    """Which sets of cells, ``(N, 12, 12)`` of 0 and 1, are a path from corner to corner without a detour, ``(N,)``.

    Where a cell outside costs more than all inside, the cheapest path is the shortest one inside, if there is any; it
    must be all of the set. A cheapest path by positive costs is always one: a detour within its own cells costs more.
    """
    return (cheapest(1.0 + cells[0].size * (1.0 - cells)) == cells).all((-2, -1))
