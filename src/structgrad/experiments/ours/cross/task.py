"""What a task is to the methods: scores, a target and a loss per structure. What it is to us: a quality."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from structgrad.experiments.ours.cross.data import Data, Examples
from structgrad.polytopes.base import Polytope
from structgrad.regularizers.base import Regularizer

Embed = Callable[[Tensor], Tensor]  # inputs (R, items, inputs) -> outputs (R, items, outputs)


@dataclass(frozen=True)
class Batch:
    """What a step is taken on: ``inputs``, targets ``y`` and costs ``cost`` ``(R, B, *event)`` of R trials.

    ``y`` is a vertex of the polytope, or a point of it. The loss of a structure is ``<cost, y>`` and a constant.
    """

    inputs: tuple[Tensor, ...]
    y: Tensor
    cost: Tensor


class Task(ABC):
    """A data set to learn from through the maximiser of a polytope.

    Attributes:
        data: what is trained, selected and tested on.
        polytope: what is predicted.
        widths: of the network.
        regularizer: what softens the maximiser for the stochastic softmax trick; None where the library has nothing.
        relative: whether noise multiplies the scores, which then keep their signs, instead of being added to them.
    """

    polytope: Polytope
    widths: tuple[int, ...]
    regularizer: Regularizer | None = None
    relative: bool = False

    def __init__(self, data: Data) -> None:
        self.data = data

    def batch(self, size: int, generators: Sequence[torch.Generator]) -> Batch:
        """So many training examples for each trial, drawn with replacement from its own generator."""
        rows = torch.stack([torch.randint(len(self.data.train), (size,), generator=g) for g in generators])
        chosen = self.data.train[rows]
        return Batch((chosen.x,), chosen.y, self.cost(chosen.y))

    @abstractmethod
    def cost(self, y: Tensor) -> Tensor:
        """The costs ``c`` of a target, the same shape, with entries of about one."""

    @abstractmethod
    def scores(self, embed: Embed, *inputs: Tensor) -> Tensor:
        """Scores ``(R, items, *event)`` that the network gives a batch's inputs, or some examples'."""

    def judged_scores(self, embed: Embed, part: Examples) -> Tensor:
        """The scores ``(R, N, *event)`` by which all examples of a part are predicted."""
        return self.scores(embed, part.x.unsqueeze(0))

    @abstractmethod
    def quality(self, theta: Tensor, part: Examples) -> Tensor:
        """How good the plain argmax of scores ``(R, N, *event)`` is for each example: ``(R, N)`` float64, at most 1."""

    @abstractmethod
    def unlearned(self, part: Examples) -> Tensor:
        """Scores ``(1, N, *event)`` that need no learning (:mod:`structgrad.experiments.ours.cross.references`)."""

    def chance(self, part: Examples, generator: torch.Generator) -> Tensor:
        """Scores ``(1, N, *event)`` that are standard normal noise."""
        return torch.randn(1, *self.unlearned(part).shape[1:], generator=generator)

    @torch.no_grad()
    def judge(self, embed: Embed, part: Examples) -> Tensor:
        """The quality of each trial's predictions of a part, ``(R, N)``."""
        return self.quality(self.judged_scores(embed, part), part)
