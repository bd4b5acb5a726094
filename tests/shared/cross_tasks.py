"""The four tasks of the comparison at equal calls, so small that all structures can be tried one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from structgrad.experiments.ours.cross import neighbours, paths
from structgrad.experiments.ours.cross.data import Data, Examples
from structgrad.experiments.ours.cross.methods import METHODS
from structgrad.experiments.ours.cross.neighbours import Neighbours
from structgrad.experiments.ours.cross.paths import Paths
from structgrad.experiments.ours.cross.rank import Rank
from structgrad.experiments.ours.cross.sort import Sort
from structgrad.experiments.ours.cross.task import Task
from structgrad.polytopes import GridPath

HIDDEN, SIDE = 3, 3
CELLS = [
    (kind, method)
    for kind in ("sort", "rank", "paths", "neighbours")
    for method in METHODS
    if (kind, method) != ("paths", "stochastic_softmax")  # grid paths have no relaxation
]


@contextmanager
def small_task(kind: str) -> Iterator[Task]:
    """Matchings of 3, ranks of 3 labels, paths over 3 x 3 cells, 2 of 6 neighbours: on some random examples."""
    generator = torch.Generator().manual_seed(5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "SIDE", SIDE)
        for name, value in {"K": 2, "CANDIDATES": 2, "CLASSES": 3}.items():
            patch.setattr(neighbours, name, value)
        make, data = {"sort": _sort, "rank": _rank, "paths": _paths, "neighbours": _neighbours}[kind]
        yield make(Data(*(data(count, generator) for count in (24, 7, 9))), HIDDEN)


def _numbers(count: int, generator: torch.Generator) -> Examples:
    x = torch.rand(count, 3, generator=generator)
    y = torch.nn.functional.one_hot(x.argsort(dim=-1, descending=True).argsort(dim=-1), 3).float()
    return Examples(x, y, y)


def _rows(count: int, generator: torch.Generator) -> Examples:
    x = torch.randn(count, 2, generator=generator)
    y = torch.stack([x[:, 0], x[:, 1], -x[:, 0]], -1).argsort(dim=-1).argsort(dim=-1).float()
    return Examples(x, y, y)


def _terrain(count: int, generator: torch.Generator) -> Examples:
    cells = torch.randn(count, SIDE * SIDE, 4, generator=generator)
    costs = (cells.sum(-1).exp() + 0.1).view(count, SIDE, SIDE).double()
    y = GridPath(SIDE, SIDE).argmax(-costs).float()
    return Examples(cells, y, costs)


def _images(count: int, generator: torch.Generator) -> Examples:
    classes: Tensor = torch.arange(count) % 3
    x = torch.randn(count, 4, generator=generator) + classes.unsqueeze(-1)
    return Examples(x, classes, classes)


_sort, _rank = (Sort, _numbers), (Rank, _rows)
_paths, _neighbours = (Paths, _terrain), (Neighbours, _images)
