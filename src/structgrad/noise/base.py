"""What every noise offers: draws, and where there is one its density."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from structgrad.arguments import real
from structgrad.described import Described
from structgrad.generators import Generators, draw_each, draw_replicas


class Noise(Described, ABC):
    """Independent coordinates that perturb scores. Every draw takes an explicit generator; nothing seeds globally."""

    scale: float = 1.0

    @abstractmethod
    def sample(
        self,
        shape: Sequence[int],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Independent draws of that shape, on the generator's device."""

    def utilities(self, theta: Tensor, z: Tensor) -> Tensor:
        """The random utilities ``U`` with scores ``theta`` and noise ``z`` (paulus, section 3): ``theta + z``."""
        return theta + z

    def reach(self, dtype: torch.dtype) -> float:
        """The magnitude of scores from which their spacing in ``dtype`` is wider than the noise, which is then lost."""
        return self.scale / torch.finfo(dtype).eps


class Density(Noise):
    """Noise with a known density ``exp(-nu(z))`` (berthet, section 2).

    ``smooth`` says that the density is positive and differentiable on the whole line, which derivatives by
    integration by parts need (berthet, Proposition 2.2).
    """

    smooth: ClassVar[bool] = True

    @abstractmethod
    def log_density(self, z: Tensor) -> Tensor:
        """``-nu(z)`` for each coordinate, normalised."""

    @abstractmethod
    def score(self, z: Tensor) -> Tensor:
        """``nu'(z) = -d log density / dz`` for each coordinate."""

    @abstractmethod
    def kl(self, theta: Tensor) -> Tensor:
        """``KL(U at theta || U at 0)`` of the :meth:`utilities`, for each coordinate, in nats."""

    def log_likelihood(self, u: Tensor, theta: Tensor) -> Tensor:
        """The log density of :meth:`utilities` ``u`` with scores ``theta``, for each coordinate."""
        return self.log_density(u - theta)


def check_scale(scale: float) -> None:
    if not 0 < real(scale, "scale") < math.inf:
        raise ValueError(f"scale must be positive and finite, not {scale}")


def uniform(shape: Sequence[int], generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Uniforms on the open interval: an exact zero (torch draws multiples of eps / 2) becomes half of the next one."""
    draws = torch.rand(tuple(shape), generator=generator, dtype=dtype, device=generator.device)
    return draws.clamp_min_(torch.finfo(dtype).eps / 4)


def sample_replicas(
    noise: Noise,
    shape: Sequence[int],
    generators: Sequence[torch.Generator],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """One draw of ``shape`` from each replica's own generator, stacked: ``(len(generators), *shape)``.

    A replica's noise depends on its generator alone, not on which replicas train beside it.
    """
    return draw_replicas(lambda shape, one: noise.sample(shape, one, dtype), shape, generators)


def draw(
    noise: Noise,
    shape: Sequence[int],
    generator: Generators,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Draws of that shape: from one generator, or each index of the first dimension from its own.

    Raises:
        ValueError: a sequence of generators whose length is not the first dimension.
    """
    return draw_each(lambda shape, one: noise.sample(shape, one, dtype), shape, generator, dtype)
