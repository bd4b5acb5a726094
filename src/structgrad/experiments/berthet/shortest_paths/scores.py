"""How good predicted paths are: every metric of the figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from structgrad.data.maps import Maps, are_paths, costs_of
from structgrad.training.results import Mean, Proportion, Report

EQUAL = 1e-3  # relative: costs may be stored in 16 bits, while costs of paths that differ are tenths apart


@dataclass(frozen=True)
class Scores:
    """Of each test map: whether the predicted cells are a path, the true path, and an optimal one; and what they cost
    over what the true path costs.
    """

    valid: np.ndarray
    exact: np.ndarray
    optimal: np.ndarray
    ratio: np.ndarray

    def report(self, *, solved: bool) -> dict[str, Report]:
        """What a record holds; the cost where predictions are ``solved`` for, so that they are always paths."""
        marks = {"optimal": self.optimal, "exact": self.exact, "valid": self.valid}
        reports: dict[str, Report] = {name: Proportion(int(each.sum()), len(each)) for name, each in marks.items()}
        return reports | {"cost_ratio": Mean.of(self.ratio.tolist())} if solved else reports


def scores(cells: np.ndarray, maps: Maps) -> Scores:
    """Of predicted ``cells`` ``(N, 12, 12)``, 0 or 1.

    A path is optimal if it costs no more than the true one. The first cell's cost is included.
    """
    valid = are_paths(cells)
    ratio = costs_of(maps.costs, cells) / costs_of(maps.costs, maps.paths)
    exact = (cells == maps.paths).all((-2, -1))
    return Scores(valid, exact, valid & (ratio <= 1 + EQUAL), ratio.clip(1.0))
