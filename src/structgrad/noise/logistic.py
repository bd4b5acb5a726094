"""Logistic noise: with it the sign of a score is drawn from its sigmoid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from structgrad.noise.base import Density, check_scale, uniform


@dataclass(frozen=True)
class Logistic(Density):
    """Logistic noise of mean zero: ``z = scale * log(U / (1 - U))``, the difference of two Gumbels of that scale."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        check_scale(self.scale)

    def sample(
        self,
        shape: Sequence[int],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        return uniform(shape, generator, dtype).logit_().mul_(self.scale)

    def log_density(self, z: Tensor) -> Tensor:
        t = z / self.scale
        return 2 * torch.nn.functional.logsigmoid(t) - t - math.log(self.scale)

    def score(self, z: Tensor) -> Tensor:
        return torch.tanh(z / (2 * self.scale)) / self.scale

    def kl(self, theta: Tensor) -> Tensor:
        """``t coth(t / 2) - 2`` with ``t = theta / scale``; near zero by its series ``t^2/6 - t^4/360 + ...``."""
        t = theta / self.scale
        near = t.abs() < 0.5
        small, large = torch.where(near, t, 0.0), torch.where(near, 1.0, t)
        square = (small / 2) ** 2
        series = torch.zeros_like(square)
        for coefficient in reversed(_COTH):
            series = (series + coefficient) * square
        return torch.where(near, 2 * series, large / torch.tanh(large / 2) - 2)


# x coth x = 1 + sum of these times x^2, x^4, ... (Bernoulli numbers); six leave an error below 1e-16 for x < 1/4
_COTH = (1 / 3, -1 / 45, 2 / 945, -1 / 4725, 2 / 93555, -1382 / 638512875)
