"""Gumbel noise: with it the argmax over n scores is drawn from their softmax."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from structgrad.arguments import choice
from structgrad.noise.base import Density, check_scale
from structgrad.portable.elementary import gumbel_

EULER_GAMMA = 0.57721566490153286


@dataclass(frozen=True)
class Gumbel(Density):
    """Gumbel noise of scale ``beta``: ``z = loc - beta log(-log U)`` with ``U`` uniform on (0, 1).

    Centred (the default), ``loc = -beta * gamma_Euler`` makes the mean zero; otherwise ``loc = 0``. The variance
    is ``beta**2 pi**2 / 6``: 1.645 at the standard scale, 3 at ``sqrt(18)/pi``.
    """

    scale: float = 1.0
    centred: bool = True

    def __post_init__(self) -> None:
        check_scale(self.scale)
        choice(self.centred, "centred")

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
        return gumbel_(draws.clamp_min_(torch.finfo(dtype).tiny), self.scale, self.location)

    def log_density(self, z: Tensor) -> Tensor:
        t = (z - self.location) / self.scale
        return -t - torch.exp(-t) - math.log(self.scale)

    def score(self, z: Tensor) -> Tensor:
        t = (z - self.location) / self.scale
        return (1.0 - torch.exp(-t)) / self.scale

    def kl(self, theta: Tensor) -> Tensor:
        """``t + exp(-t) - 1`` with ``t = theta / beta``, wherever the noise is centred."""
        t = theta / self.scale
        return t + torch.expm1(-t)
