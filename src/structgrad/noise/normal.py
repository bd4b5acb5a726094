"""Gaussian noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from structgrad.noise.base import Density, check_scale
from structgrad.portable.elementary import BOX_MULLER, normal_


@dataclass(frozen=True)
class Normal(Density):
    """Gaussian noise of mean zero and standard deviation ``scale``."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        check_scale(self.scale)

    def sample(
        self,
        shape: Sequence[int],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        draws = _normals(tuple(shape), generator, dtype)
        return draws if self.scale == 1 else draws.mul_(self.scale)

    def log_density(self, z: Tensor) -> Tensor:
        return -0.5 * (z / self.scale) ** 2 - math.log(self.scale) - 0.5 * math.log(2 * math.pi)

    def score(self, z: Tensor) -> Tensor:
        return z if self.scale == 1 else z / self.scale**2

    def kl(self, theta: Tensor) -> Tensor:
        """``theta^2 / (2 scale^2)``."""
        return 0.5 * (theta / self.scale) ** 2


def _normals(shape: Sequence[int], generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Standard normals; on a CPU from whole groups of uniforms, so that the processor does not matter."""
    if generator.device.type != "cpu" or dtype not in (torch.float32, torch.float64):
        return torch.randn(shape, generator=generator, dtype=dtype, device=generator.device)
    count = prod(shape)
    uniforms = torch.rand((count + -count % BOX_MULLER,), generator=generator, dtype=dtype, device=generator.device)
    return normal_(uniforms)[:count].view(shape)
