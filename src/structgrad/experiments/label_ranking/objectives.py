"""The losses of the arms, on scores of any leading dimensions; each from the library."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from structgrad.layers.perturbed import Perturbed
from structgrad.losses.blackbox import Blackbox
from structgrad.losses.fenchel_young import FenchelYoung
from structgrad.losses.squared import SquaredError
from structgrad.noise import Normal
from structgrad.polytopes.permutahedron import Permutahedron


class Objective(ABC):
    """``values`` of the hyper-parameter ``name`` lie along the last dimension but one of the scores."""

    name: str | None = None
    values: tuple[float, ...] = (0.0,)

    @abstractmethod
    def __call__(self, theta: Tensor, y: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """The loss of each item ``(..., values)`` at scores ``(R, ..., values, k)``."""


class Squared(Objective):
    """``1/2 |theta - y|^2``: no solver while training."""

    def __call__(self, theta: Tensor, y: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        return 0.5 * ((theta - y) ** 2).sum(-1)


class Noisy(Objective):
    """A loss of the perturbed ranks; ``epsilon`` is the magnitude of the noise."""

    name = "epsilon"

    def __init__(self, loss: type[FenchelYoung] | type[SquaredError], config: dict[str, Any], labels: int) -> None:
        self.values = tuple(config["epsilons"])
        magnitudes = torch.tensor(self.values)
        self.loss = loss(Perturbed(Permutahedron(labels), Normal(), magnitudes, config["samples"]))

    def __call__(self, theta: Tensor, y: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        return self.loss(theta, y, generators)


class Interpolated(Objective):
    """``1/2 |y*(theta) - y|^2`` through blackbox interpolation; ``lambda`` is the interpolation's step."""

    name = "lambda"

    def __init__(self, config: dict[str, Any], labels: int) -> None:
        self.values = tuple(config["lambdas"])
        self.solve = Blackbox(Permutahedron(labels), torch.tensor(self.values))

    def __call__(self, theta: Tensor, y: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        return 0.5 * ((self.solve(theta) - y) ** 2).sum(-1)


def objective(config: dict[str, Any], labels: int) -> Objective:
    """The objective that an arm's ``loss`` names."""
    if config["loss"] == "squared":
        return Squared()
    if config["loss"] == "blackbox":
        return Interpolated(config, labels)
    return Noisy({"fenchel_young": FenchelYoung, "perturbed_squared": SquaredError}[config["loss"]], config, labels)
