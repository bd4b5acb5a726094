"""The two Fenchel-Young losses of ten scores: of the perturbed maximum, and of the softmax."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from structgrad.data.images import CLASSES
from structgrad.experiments.berthet.perturbed_max.hyper_parameters import MaxParameters
from structgrad.layers.perturbed import Perturbed
from structgrad.noise import Normal
from structgrad.polytopes.simplex import Simplex

DRAWS = 1000  # of the maximum at test


class Smoothed(ABC):
    """A distribution over the classes that scores give; the loss's gradient in the scores is its distance to the label.

    That is the gradient of ``epsilon L(theta / epsilon, y)``: of the same size at every epsilon.
    """

    @abstractmethod
    def __call__(self, theta: Tensor, generator: torch.Generator) -> Tensor:
        """What is predicted while training, ``(B, 10)``."""

    def at_test(self, theta: Tensor, generator: torch.Generator) -> Tensor:
        """The same as exactly as it is wanted."""
        return self(theta, generator)


class PerturbedMax(Smoothed):
    """``y_eps(theta)``, the mean of M maxima of scores with normal noise (berthet, section 5.1)."""

    def __init__(self, config: MaxParameters) -> None:
        self.layer, self.finer = (
            Perturbed(Simplex(CLASSES), Normal(), config.epsilon, samples) for samples in (config.samples, DRAWS)
        )

    @torch.no_grad()
    def __call__(self, theta: Tensor, generator: torch.Generator) -> Tensor:
        return self.layer(theta, generator)

    @torch.no_grad()
    def at_test(self, theta: Tensor, generator: torch.Generator) -> Tensor:
        return self.finer(theta, generator)


class Softmax(Smoothed):
    """``softmax(theta / eps)``: with it the loss is eps times cross entropy at temperature eps."""

    def __init__(self, config: MaxParameters) -> None:
        self.epsilon = config.epsilon

    def __call__(self, theta: Tensor, generator: torch.Generator) -> Tensor:
        return (theta / self.epsilon).softmax(-1)


SMOOTHED = {"fenchel_young": PerturbedMax, "cross_entropy": Softmax}
