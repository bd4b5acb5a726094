"""The losses of the arms, on scores of any leading dimensions; each from the library."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from structgrad.experiments.berthet.rankings.hyper_parameters import RankingParameters
from structgrad.layers.finite_difference import finite_difference
from structgrad.layers.perturbed import Baseline, Perturbed
from structgrad.losses.blackbox import Blackbox
from structgrad.noise import Normal
from structgrad.polytopes.permutahedron import Permutahedron

Generators = Sequence[torch.Generator]


class RankingLoss(ABC):
    """``values`` of the hyper-parameter ``name`` lie along the last dimension but one of the scores.

    ``samples``: how many perturbed copies of the scores a call works on.
    """

    name: str | None = None
    values: tuple[float, ...] = (0.0,)
    samples: int = 1

    @abstractmethod
    def __call__(self, theta: Tensor, y: Tensor, generators: Generators) -> tuple[Tensor, Tensor]:
        """What the loss predicts at scores ``(R, ..., values, k)`` for ranks ``y``, and each item's gradient in them.

        ``1/2 |prediction - y|^2`` is the number that is shown while training. It is the loss, but for Fenchel-Young:
        there it is what the authors' code reports, and the gradient is ``prediction - y``.
        """


class Squared(RankingLoss):
    """``1/2 |theta - y|^2``: no solver while training."""

    def __call__(self, theta: Tensor, y: Tensor, generators: Generators) -> tuple[Tensor, Tensor]:
        return theta, theta - y


class Noisy(RankingLoss):
    """A loss of the perturbed ranks; ``epsilon`` is the magnitude of the noise."""

    name = "epsilon"
    baseline: Baseline = "leave_one_out"

    def __init__(self, config: RankingParameters, labels: int) -> None:
        self.values = config.epsilons
        self.samples = config.samples
        self.layer = Perturbed(Permutahedron(labels), Normal(), torch.tensor(self.values), self.samples, self.baseline)


class FenchelYoung(Noisy):
    """The gradient of :class:`structgrad.losses.fenchel_young.FenchelYoung` (berthet, eq. 6) without its value."""

    @torch.no_grad()
    def __call__(self, theta: Tensor, y: Tensor, generators: Generators) -> tuple[Tensor, Tensor]:
        ranks = self.layer(theta, generators)
        return ranks, ranks - y


class PerturbedSquared(Noisy):
    """``1/2 |y_eps(theta) - y|^2``, differentiated by Proposition 3.1."""

    def __call__(self, theta: Tensor, y: Tensor, generators: Generators) -> tuple[Tensor, Tensor]:
        return _through(lambda scores: self.layer(scores, generators), theta, y)


class PlainPerturbedSquared(PerturbedSquared):
    """The same with the estimator of the authors' code, which has no baseline: its variance is many times larger."""

    baseline = None


class Interpolated(RankingLoss):
    """``1/2 |y*(theta) - y|^2`` through blackbox interpolation; ``lambda`` is the interpolation's step.

    Lambda multiplies the gradient of an item's own loss, or, where the loss says ``of_batch``, of the mean loss of its
    batch.
    """

    name = "lambda"

    def __init__(self, config: RankingParameters, labels: int) -> None:
        self.values = config.lambdas
        share = 1 / config.batch_size if config.loss.endswith("of_batch") else 1.0
        self.step = torch.tensor(self.values) * share
        self.polytope = Permutahedron(labels)

    def __call__(self, theta: Tensor, y: Tensor, generators: Generators) -> tuple[Tensor, Tensor]:
        return _through(Blackbox(self.polytope, self.step), theta, y)


class Mirrored(Interpolated):
    """The gradient as code for costs computes it when it is given scores and their ascending ranks.

    ``[y*(theta + lambda g) - y*(theta)] / lambda``: what is right for costs looks, on scores that are
    maximised, to the side where the loss grows (:mod:`structgrad.losses.blackbox`).
    """

    def __call__(self, theta: Tensor, y: Tensor, generators: Generators) -> tuple[Tensor, Tensor]:
        step = self.step.unsqueeze(-1)
        ranks = self.polytope.argmax(theta)

        def solve(scores: Tensor) -> Tensor:
            return ranks if scores is theta else self.polytope.argmax(scores)  # theta is solved already

        _, moved = finite_difference(solve, theta, ranks - y, step)
        return ranks, (moved - ranks) / step


def _through(predict: Callable[[Tensor], Tensor], theta: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """A prediction and the gradient of half its squared distance to ``y``, by the prediction's own derivative."""
    scores = theta.detach().requires_grad_()
    with torch.enable_grad():
        prediction = predict(scores)
    (gradient,) = torch.autograd.grad(prediction, scores, prediction.detach() - y)
    return prediction.detach(), gradient


LOSSES: dict[str, Callable[[RankingParameters, int], RankingLoss]] = {
    "squared": lambda config, labels: Squared(),
    "blackbox": Interpolated,
    "blackbox_of_batch": Interpolated,
    "blackbox_mirrored_of_batch": Mirrored,
    "fenchel_young": FenchelYoung,
    "perturbed_squared": PerturbedSquared,
    "perturbed_squared_plain": PlainPerturbedSquared,
}
