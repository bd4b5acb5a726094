"""Minus exponential noise, of rates that the scores set: an exponential race."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from structgrad.noise.base import Density, uniform


@dataclass(frozen=True)
class NegativeExponential(Density):
    """Minus an exponential of mean one, ``z = log U``; the scores set its rate, not its location.

    The utilities are ``U = z exp(-theta)``, that is, ``-U`` is exponential with rate ``exp(theta)``: of several, the
    largest is ``i`` with a probability proportional to ``exp(theta_i)``, as under Gumbel noise (paulus, App. B).
    The density ends at zero: no derivative by integration by parts.
    """

    smooth: ClassVar[bool] = False

    def sample(
        self,
        shape: Sequence[int],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        return uniform(shape, generator, dtype).log_()

    def log_density(self, z: Tensor) -> Tensor:
        return torch.where(z <= 0, z, -torch.inf)

    def score(self, z: Tensor) -> Tensor:
        """Minus one where the density is positive; NaN elsewhere."""
        return torch.where(z <= 0, -torch.ones_like(z), torch.nan)

    def kl(self, theta: Tensor) -> Tensor:
        """``theta + exp(-theta) - 1``."""
        return theta + torch.expm1(-theta)

    def utilities(self, theta: Tensor, z: Tensor) -> Tensor:
        """``z exp(-theta)``."""
        return z * torch.exp(-theta)

    def reach(self, dtype: torch.dtype) -> float:
        """Where ``exp(theta)`` leaves the dtype's normal numbers."""
        return -math.log(torch.finfo(dtype).tiny)

    def log_likelihood(self, u: Tensor, theta: Tensor) -> Tensor:
        """``theta + u exp(theta)`` for ``u <= 0``."""
        return torch.where(u <= 0, theta + u * torch.exp(theta), -torch.inf)
