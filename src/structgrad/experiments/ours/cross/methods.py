"""The methods: of scores, targets and costs a number per example to minimise, and how often each calls a maximiser."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from structgrad.experiments.ours.cross.task import Batch, Task
from structgrad.layers.expectation import PerturbedExpectation
from structgrad.layers.multiplicative import PerturbedMultiplicative
from structgrad.layers.perturbed import Perturbed
from structgrad.layers.relaxed import Relaxed
from structgrad.layers.stochastic_softmax import StochasticSoftmax
from structgrad.losses import blackbox, direct, fenchel_young, squared
from structgrad.noise import Normal

Generators = Sequence[torch.Generator]


class Method(ABC):
    """One method at R points of its search.

    ``calls``: of the maximiser per example and step, gradient included. A relaxed solve counts as one call, too, that
    of Sinkhorn as well, whatever either costs.

    Args:
        task: what is learned.
        points: the values of each hyper-parameter, one per trial.
        samples: draws of noise per example.
    """

    def __init__(self, task: Task, points: Mapping[str, Sequence[float]], samples: int) -> None:
        self.task, self.points, self.samples = task, points, samples
        self.event = tuple(range(-len(task.polytope.event_shape), 0))

    @property
    def calls(self) -> int:
        return self.samples

    @abstractmethod
    def __call__(self, theta: Tensor, batch: Batch, magnitudes: Tensor, generators: Generators) -> Tensor:
        """Losses ``(R, B)`` of scores ``(R, B, *event)``, or ``(R,)`` summed over examples, to be differentiated.

        Args:
            theta: the scores.
            batch: targets and costs.
            magnitudes: of the noise, ``(R, 1)``, which a method may learn.
            generators: of the noise, one per trial.
        """

    def _each(self, name: str) -> Tensor:
        """A hyper-parameter's values, ``(R, 1)``."""
        return torch.tensor(self.points[name]).unsqueeze(-1)

    def _perturbed(self) -> Perturbed:
        """The perturbed maximiser, its noise as large as each trial's point says."""
        if self.task.relative:
            return PerturbedMultiplicative(self.task.polytope, self._each("noise"), self.samples)
        return Perturbed(self.task.polytope, Normal(), self._each("noise"), self.samples)

    def _cost(self, y: Tensor, cost: Tensor) -> Tensor:
        """``<cost, y>``."""
        return (cost * y).sum(self.event)


class FenchelYoung(Method):
    """The perturbed Fenchel-Young loss (berthet, Definition 4.1): targets alone."""

    def __call__(self, theta: Tensor, batch: Batch, magnitudes: Tensor, generators: Generators) -> Tensor:
        return fenchel_young.FenchelYoung(self._perturbed())(theta, batch.y, generators)


class Squared(Method):
    """``1/2 |E y - y*|^2`` of the perturbed maximiser, leave-one-out baseline (berthet, eq. 4): targets alone."""

    def __call__(self, theta: Tensor, batch: Batch, magnitudes: Tensor, generators: Generators) -> Tensor:
        return squared.SquaredError(self._perturbed())(theta, batch.y, generators)


class Direct(Method):
    """Direct loss towards the better structure, the magnitude of its normal noise learned (indelman, Theorem 1).

    One magnitude per trial stands for the paper's network of the input. The noise is added, also to scores that other
    methods multiply by theirs: the theorem is about sums.
    """

    @property
    def calls(self) -> int:
        return 2 * self.samples

    def __call__(self, theta: Tensor, batch: Batch, magnitudes: Tensor, generators: Generators) -> Tensor:
        loss = direct.DirectLoss(self.task.polytope, Normal(), self.samples)
        steps = -self._each("step").squeeze(-1)
        sigma = magnitudes.expand(theta.shape[:2])
        return loss(theta, batch.cost, steps, _unwatched, sigma, generators).surrogate


class Blackbox(Method):
    """The expected loss through blackbox interpolation (Vlastelica et al. 2020); lambda is in an example's own units.

    Since the loss is linear, this is direct loss without noise.
    """

    @property
    def calls(self) -> int:
        return 2

    def __call__(self, theta: Tensor, batch: Batch, magnitudes: Tensor, generators: Generators) -> Tensor:
        return self._cost(blackbox.Blackbox(self.task.polytope, self._each("step"))(theta), batch.cost)


class Reinforce(Method):
    """The expected loss by the score function of the noise, with the leave-one-out baseline."""

    def __call__(self, theta: Tensor, batch: Batch, magnitudes: Tensor, generators: Generators) -> Tensor:
        costs = batch.cost.unsqueeze(2)
        return PerturbedExpectation(self._perturbed(), lambda y: self._cost(y, costs))(theta, generators)


class Softmax(Method):
    """The loss at relaxed structures of Gumbel-perturbed scores, its linear extension (paulus, Definitions 1 and 2)."""

    def __call__(self, theta: Tensor, batch: Batch, magnitudes: Tensor, generators: Generators) -> Tensor:
        assert self.task.regularizer is not None
        relaxed = Relaxed(self.task.polytope, self.task.regularizer, self._each("temperature"))
        soft = StochasticSoftmax(relaxed, samples=self.samples)(theta, generators)
        return self._cost(soft, batch.cost.unsqueeze(2)).mean(-1)


def _unwatched(y: Tensor, rows: slice, items: slice) -> Tensor:
    """In the place of direct loss's task loss, which decides whether its step grows: here it never does."""
    return y.new_zeros(y.shape[:2], dtype=torch.float64)


METHODS: Mapping[str, type[Method]] = {
    "fenchel_young": FenchelYoung,
    "direct": Direct,
    "blackbox": Blackbox,
    "squared": Squared,
    "stochastic_softmax": Softmax,
    "reinforce": Reinforce,
}
