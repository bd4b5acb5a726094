"""Noise that perturbs scores. Every draw takes an explicit generator; nothing seeds globally."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor

from structgrad.arguments import real
from structgrad.portable.elementary import BOX_MULLER, gumbel_, normal_

EULER_GAMMA = 0.57721566490153286

Generators = torch.Generator | Sequence[torch.Generator]


class Noise(ABC):
    """A density ``exp(-nu(z))`` with independent coordinates (berthet, section 2).

    ``smooth`` says that the density is positive and differentiable on the whole line, which derivatives by
    integration by parts need (berthet, Proposition 2.2).
    """

    smooth: ClassVar[bool] = True
    scale: float = 1.0

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

    @abstractmethod
    def kl(self, theta: Tensor) -> Tensor:
        """``KL(U at theta || U at 0)`` of the :meth:`utilities`, for each coordinate, in nats."""

    def utilities(self, theta: Tensor, z: Tensor) -> Tensor:
        """The random utilities ``U`` with scores ``theta`` and noise ``z`` (paulus, section 3): ``theta + z``."""
        return theta + z

    def reach(self, dtype: torch.dtype) -> float:
        """The magnitude of scores from which their spacing in ``dtype`` is wider than the noise, which is then lost."""
        return self.scale / torch.finfo(dtype).eps

    def log_likelihood(self, u: Tensor, theta: Tensor) -> Tensor:
        """The log density of :meth:`utilities` ``u`` with scores ``theta``, for each coordinate."""
        return self.log_density(u - theta)


@dataclass(frozen=True)
class Gumbel(Noise):
    """Gumbel noise of scale ``beta``: ``z = loc - beta log(-log U)`` with ``U`` uniform on (0, 1).

    Centred (the default), ``loc = -beta * gamma_Euler`` makes the mean zero; otherwise ``loc = 0``. The variance
    is ``beta**2 pi**2 / 6``: 1.645 at the standard scale, 3 at ``sqrt(18)/pi``.
    """

    scale: float = 1.0
    centred: bool = True

    def __post_init__(self) -> None:
        _check_scale(self.scale)

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


@dataclass(frozen=True)
class Normal(Noise):
    """Gaussian noise of mean zero and standard deviation ``scale``."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        _check_scale(self.scale)

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


@dataclass(frozen=True)
class Logistic(Noise):
    """Logistic noise of mean zero: ``z = scale * log(U / (1 - U))``, the difference of two Gumbels of that scale."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        _check_scale(self.scale)

    def sample(
        self,
        shape: Sequence[int],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        return _uniform(shape, generator, dtype).logit_().mul_(self.scale)

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


@dataclass(frozen=True)
class NegativeExponential(Noise):
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
        return _uniform(shape, generator, dtype).log_()

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


# x coth x = 1 + sum of these times x^2, x^4, ... (Bernoulli numbers); six leave an error below 1e-16 for x < 1/4
_COTH = (1 / 3, -1 / 45, 2 / 945, -1 / 4725, 2 / 93555, -1382 / 638512875)


def _check_scale(scale: float) -> None:
    if not 0 < real(scale, "scale") < math.inf:
        raise ValueError(f"scale must be positive and finite, not {scale}")


def _uniform(shape: Sequence[int], generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Uniforms on the open interval: an exact zero (torch draws multiples of eps / 2) becomes half of the next one."""
    draws = torch.rand(tuple(shape), generator=generator, dtype=dtype, device=generator.device)
    return draws.clamp_min_(torch.finfo(dtype).eps / 4)


def _normals(shape: Sequence[int], generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Standard normals; on a CPU from whole groups of uniforms, so that the processor does not matter."""
    if generator.device.type != "cpu" or dtype not in (torch.float32, torch.float64):
        return torch.randn(shape, generator=generator, dtype=dtype, device=generator.device)
    count = prod(shape)
    uniforms = torch.rand((count + -count % BOX_MULLER,), generator=generator, dtype=dtype, device=generator.device)
    return normal_(uniforms)[:count].view(shape)


def sample_replicas(
    noise: Noise,
    shape: Sequence[int],
    generators: Sequence[torch.Generator],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """One draw of ``shape`` from each replica's own generator, stacked: ``(len(generators), *shape)``.

    A replica's noise depends on its generator alone, not on which replicas train beside it.
    """
    draws = [noise.sample(shape, generator, dtype) for generator in generators]
    return draws[0].unsqueeze(0) if len(draws) == 1 else torch.stack(draws)


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
    if isinstance(generator, torch.Generator):
        return noise.sample(shape, generator, dtype)
    if not shape or len(generator) != shape[0]:
        raise ValueError(f"{len(generator)} generators do not fit the first dimension of shape {tuple(shape)}")
    return sample_replicas(noise, shape[1:], generator, dtype) if generator else torch.empty(tuple(shape), dtype=dtype)
