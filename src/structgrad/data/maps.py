"""Maps to find shortest paths on: pictures of terrain, the costs behind them, and the paths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
