"""Linear models at every point of a grid of hyper-parameters, trained as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from math import prod, sqrt

import torch
from torch import Tensor

from structgrad.experiments.berthet.rankings.losses import RankingLoss
from structgrad.parallel import map_blocks
from structgrad.portable import dots, norm, total
from structgrad.training.adam import Adam
from structgrad.training.replicas import Parameters, linear, linear_shapes, uniform
from structgrad.training.state import Stateful

ROUND = 1 << 19  # scores, samples included, that a call of the loss works on: more would leave the cache


class Grid(Stateful):
    """R replicas x F fits x learning rates x values of a loss's own hyper-parameter.

    The points of the grid share rows and initial weights: only the grid sets them apart. Scores have the shape
    ``(R, F, items, rates, values, k)``.

    Args:
        starts: initial weights ``(R, F, p, k)``; biases start at zero.
        bias: whether there is one (berthet's artificial rankings have a linear model instead of an affine one).
    """

    kept = ("adam",)

    def __init__(self, loss: RankingLoss, rates: Sequence[float], starts: Tensor, bias: bool = True) -> None:
        self.loss, self.rates, self.bias = loss, rates, bias
        self.replicas, self.fits, features, self.labels = starts.shape
        self.values = loss.values
        shapes = linear_shapes("scores", features, len(self.values) * self.labels)
        self.models = [Parameters(shapes, self.replicas * self.fits) for _ in rates]
        for model in self.models:
            for place, start in enumerate(starts.flatten(0, 1)):
                model.fill(place, "scores", start.repeat(1, len(self.values)))
        self.adam = Adam(self.models, rates)

    @property
    def points(self) -> int:
        """How many models there are."""
        return self.replicas * self.fits * len(self.rates) * len(self.values)

    def scores(self, x: Tensor, block: slice = slice(None), fits: slice = slice(None)) -> Tensor:
        """Scores of ``x`` ``(R, F, items, p)``, or of some replicas' and fits'."""
        scores = []
        for model in self.models:
            weights = model["scores"].unflatten(0, (self.replicas, self.fits))[block, fits].flatten(0, 1)
            scores.append(linear(x.flatten(0, 1), weights, self.bias))
        return torch.stack(scores, -2).view(*x.shape[:3], len(self.rates), len(self.values), self.labels)

    def update(self, x: Tensor, y: Tensor, noise: Sequence[torch.Generator]) -> float:
        """One Adam step on ``x`` ``(R, F, batch, p)`` and ranks ``y`` ``(R, F, batch, k)``; the mean loss before it.

        ``noise`` is one generator per replica.
        """
        theta = self.scores(x)
        scores, target = theta.detach(), y[:, :, :, None, None]
        size = max(1, ROUND // (prod(theta.shape[1:]) * self.loss.samples))
        parts = map_blocks(lambda some: self._gradient(scores[some], target[some], noise[some]), self.replicas, size)
        losses, gradients = zip(*parts, strict=True)
        self.adam.clear()
        theta.backward(torch.cat(gradients))
        self.adam.step()
        return total(chain(*losses)) / (self.points * x.shape[2])

    def _gradient(self, theta: Tensor, y: Tensor, noise: Sequence[torch.Generator]) -> tuple[list[float], Tensor]:
        """The sum of each replica's losses, and the gradient of each model's mean."""
        prediction, gradient = self.loss(theta, y, noise)
        gap = (prediction - y).flatten(1)
        return (dots(gap, gap) / 2).tolist(), gradient / theta.shape[2]  # each item's own: lambda is in its units

    def weights(self, replica: int, fit: int, rate: int, value: int) -> Tensor:
        """The weights of one model, ``(p + 1, k)``, the bias last."""
        weights = self.models[rate]["scores"].detach()[replica * self.fits + fit]
        return weights[:, value * self.labels : (value + 1) * self.labels]

    def describe(self, replica: int, fit: int, rate: int, value: int) -> dict[str, float]:
        """The hyper-parameters of one model and the norm of its weights, without bias: noise is in their units."""
        name = self.loss.name
        return {
            "learning_rate": self.rates[rate],
            **({name: self.values[value]} if name else {}),
            "weight_norm": norm(self.weights(replica, fit, rate, value)[:-1]),
        }


def glorot(features: int, labels: int, generator: torch.Generator) -> Tensor:
    """Weights ``(features, labels)`` uniform within ``sqrt(6 / (features + labels))``."""
    return uniform((features, labels), sqrt(6 / (features + labels)), generator)
