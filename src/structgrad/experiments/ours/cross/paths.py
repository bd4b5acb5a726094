"""Cheapest paths on generated terrain: costs of cells from their pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.data.maps import SIDE
from structgrad.experiments.ours.cross.data import Data, Examples
from structgrad.experiments.ours.cross.task import Embed, Task
from structgrad.polytopes.grid_path import GridPath
from structgrad.portable import dots, softplus

LEAST = 0.01  # of a cell's cost, before a map's are divided by their mean: noise that multiplies needs more than zero


class Paths(Task):
    """A convolution whose window is one cell gives each cell a positive cost; a map's costs have mean one.

    Only the ratios of costs tell paths apart, and Fenchel-Young losses under noise that multiplies have zero costs for
    a minimum where nothing fixes their size. Scores are negative costs. What a step lifts above zero counts as zero,
    in the maximiser itself (:class:`structgrad.polytopes.GridPath`).

    Loss: cells in which the path differs from the true one, ``<1 - 2 y*, y>`` and a constant. The true costs are seen
    by no method. Quality: what the true path costs over what the predicted one costs, by the true costs.
    """

    relative = True

    def __init__(self, data: Data, hidden: int) -> None:
        super().__init__(data)
        self.polytope, self.widths = GridPath(SIDE, SIDE), (data.train.x.shape[-1], hidden, 1)

    def cost(self, y: Tensor) -> Tensor:
        return 1 - 2 * y

    def scores(self, embed: Embed, *inputs: Tensor) -> Tensor:
        (cells,) = inputs
        costs = softplus(embed(cells.flatten(1, 2))).view(-1, cells.shape[1], SIDE, SIDE) + LEAST
        return -costs / costs.mean((-2, -1), keepdim=True)

    def quality(self, theta: Tensor, part: Examples) -> Tensor:
        y, costs = self.polytope.argmax(theta).double().flatten(2), part.truth.flatten(1).unsqueeze(0)
        best = dots(part.y.double().flatten(1).unsqueeze(0), costs)
        return best / dots(y, costs.expand_as(y))

    def unlearned(self, part: Examples) -> Tensor:
        """All cells cost the same: the shortest way."""
        return -torch.ones(1, len(part), SIDE, SIDE)

    def chance(self, part: Examples, generator: torch.Generator) -> Tensor:
        """Costs that are the magnitudes of standard normal noise."""
        return -super().chance(part, generator).abs()
