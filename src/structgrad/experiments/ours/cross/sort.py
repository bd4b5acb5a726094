"""Sorting: a number's place among d, by a matching of numbers and places."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.experiments.ours.cross.data import Data, Examples
from structgrad.experiments.ours.cross.task import Embed, Task
from structgrad.polytopes.matching import Matching
from structgrad.portable import dots
from structgrad.regularizers.sinkhorn import SinkhornEntropy

ROUNDS = 20  # of Sinkhorn


class Sort(Task):
    """Row i of the scores is what the network says of number i alone: how well it fits each place.

    Loss: numbers that are not in their place, ``d - <y*, y>``. Quality: the share of numbers in their place.
    """

    def __init__(self, data: Data, hidden: int) -> None:
        super().__init__(data)
        d = data.train.x.shape[-1]
        self.polytope, self.widths, self.regularizer = Matching(d), (1, hidden, d), SinkhornEntropy(ROUNDS)

    def cost(self, y: Tensor) -> Tensor:
        return -y

    def scores(self, embed: Embed, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        theta = embed(x.flatten(1).unsqueeze(-1))
        return theta.unflatten(1, x.shape[1:])

    def quality(self, theta: Tensor, part: Examples) -> Tensor:
        y = self.polytope.argmax(theta)
        return dots(y.flatten(2), part.truth.expand_as(y).flatten(2)) / part.x.shape[-1]

    def unlearned(self, part: Examples) -> Tensor:
        """Number i times the place's distance from the last, which the sorted order maximises."""
        return (part.x.unsqueeze(-1) * torch.arange(part.x.shape[-1]).flip(0)).unsqueeze(0)
