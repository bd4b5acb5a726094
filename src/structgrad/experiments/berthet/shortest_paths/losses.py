"""What the arms minimise: on numbers per cell, each with its gradient in them, and what it predicts in the end."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from structgrad.data.maps import SIDE
from structgrad.experiments.berthet.shortest_paths.hyper_parameters import PathParameters
from structgrad.layers.perturbed import Perturbed
from structgrad.losses.blackbox import Blackbox
from structgrad.noise import Normal
from structgrad.polytopes.grid_path import GridPath

PATHS = GridPath(SIDE, SIDE)


class PathLoss(ABC):
    """Of heads ``(B, 12, 12)``, which are made of the network's outputs, and the true paths of the same shape.

    ``solves``: whether what is predicted at test comes from the solver, and so is always a path.
    """

    solves = True

    def head(self, outputs: Tensor) -> Tensor:
        """Costs: the outputs' magnitudes, as in the code of Vlastelica et al."""
        return outputs.abs()

    @abstractmethod
    def __call__(self, head: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What is predicted while training, and each map's gradient of the loss in the head."""

    def predict(self, head: Tensor) -> Tensor:
        """The cells of the path at test: a cheapest path by the costs."""
        return PATHS.argmax(-head)


class FenchelYoung(PathLoss):
    """``y - y_eps``: the gradient in *costs* of the loss of the perturbed maximiser at ``theta = -costs``.

    It is that of :class:`structgrad.losses.FenchelYoung` without its value, which there is none of: costs that noise
    lifts below zero count as zero, so that what is solved is no maximum of a linear function.
    """

    def __init__(self, config: PathParameters) -> None:
        assert config.epsilon is not None
        self.layer = Perturbed(PATHS, Normal(), config.epsilon, config.samples)

    @torch.no_grad()
    def __call__(self, head: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        paths = self.layer(-head, generator)
        return paths, y - paths


class Interpolated(PathLoss):
    """The Hamming distance through blackbox interpolation, the solver's moved costs not below zero.

    As in the code of Vlastelica et al. lambda multiplies the gradient of the batch's *mean* loss, ``(1 - 2 y) / B``.
    """

    def __init__(self, config: PathParameters) -> None:
        assert config.interpolation is not None
        self.layer = Blackbox(PATHS, config.interpolation, minimise=True)

    def __call__(self, head: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        costs = head.detach().requires_grad_()
        with torch.enable_grad():
            paths = self.layer(costs)
        (of_mean,) = torch.autograd.grad(paths, costs, (1 - 2 * y) / len(y))
        return paths.detach(), of_mean * len(y)


class Squared(PathLoss):
    """``1/2 |sigmoid(outputs) - y|^2``: each cell's place on the path by regression, without a solver."""

    solves = False

    def head(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid()

    def __call__(self, head: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return head, head - y

    def predict(self, head: Tensor) -> Tensor:
        """The cells above one half, which need not be a path."""
        return (head > 0.5).to(head.dtype)


def loss_of(config: PathParameters) -> PathLoss:
    """The loss of an arm that learns."""
    match config.loss:
        case "fenchel_young":
            return FenchelYoung(config)
        case "blackbox":
            return Interpolated(config)
        case _:
            return Squared()
