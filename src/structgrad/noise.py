"""Noise that perturbs scores. Every draw takes an explicit generator; nothing seeds globally."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

EULER_GAMMA = 0.57721566490153286


class Noise(ABC):
    """A density ``exp(-nu(z))`` with independent coordinates (berthet, section 2)."""

    @abstractmethod
    def sample(
        self,
        shape: Sequence[int],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Independent draws of that shape, on the generator's device."""

    @abstractmethod
    def log_density(self, z: Tensor) -> Tensor:
        """``-nu(z)`` for each coordinate, normalised."""

    @abstractmethod
    def score(self, z: Tensor) -> Tensor:
        """``nu'(z) = -d log density / dz`` for each coordinate."""


@dataclass(frozen=True)
class Gumbel(Noise):
    """Gumbel noise of scale ``beta``: ``z = loc - beta log(-log U)`` with ``U`` uniform on (0, 1).

    Centred (the default), ``loc = -beta * gamma_Euler`` makes the mean zero; otherwise ``loc = 0``. The variance
    is ``beta**2 pi**2 / 6``: 1.645 at the standard scale, 3 at ``sqrt(18)/pi``.
    """

    scale: float = 1.0
    centred: bool = True

    @property
    def location(self) -> float:
        """The mode of the density."""
        return -EULER_GAMMA * self.scale if self.centred else 0.0

    def sample(
        self,
        shape: Sequence[int],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        # uniforms and two logarithms: four times faster on a CPU than torch's exponential_
        draws = torch.rand(tuple(shape), generator=generator, dtype=dtype, device=generator.device)
        draws.clamp_min_(torch.finfo(dtype).tiny).log_().neg_()
        return draws.log_().mul_(-self.scale).add_(self.location)

    def log_density(self, z: Tensor) -> Tensor:
        t = (z - self.location) / self.scale
        return -t - torch.exp(-t) - math.log(self.scale)

    def score(self, z: Tensor) -> Tensor:
        t = (z - self.location) / self.scale
        return (1.0 - torch.exp(-t)) / self.scale


def sample_replicas(
    noise: Noise,
    shape: Sequence[int],
    generators: Sequence[torch.Generator],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """One draw of ``shape`` from each replica's own generator, stacked: ``(len(generators), *shape)``.

    A replica's noise depends on its generator alone, not on which replicas train beside it.
    """
    return torch.stack([noise.sample(shape, generator, dtype) for generator in generators])
