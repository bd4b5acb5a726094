r"""Noise of which k coordinates add up to a Gumbel variable (Niepert, Minervini and Franceschi 2021, Theorem 1).

A standard Gumbel variable is ``lim_s sum_{i=1..s} E_i / i - log s`` with exponentials ``E_i`` of mean one, and an
exponential is the sum of k gamma variables of shape 1/k. So for structures with exactly k ones every ``<y, z>`` is, in
the limit, Gumbel distributed. Structures that share coordinates share noise, which the Gumbel trick does not allow for:
the most probable subsets are found more often than in the exponential family of the same temperature, and more often
than under Gumbel noise of scale one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from structgrad.arguments import count
from structgrad.noise.base import Noise, check_scale, uniform
from structgrad.noise.normal import Normal
from structgrad.portable import log


@dataclass(frozen=True)
class SumOfGamma(Noise):
    r"""``z = scale / k [ sum_{i=1..rounds} Gamma(1/k, k/i) - log rounds ]``, with shapes 1/k and scales k/i.

    For k-subsets, and all structures of k ones: the sum of k coordinates tends to a Gumbel variable of that scale (not
    centred) as ``rounds`` grows. That sum's mean is about ``scale / (2 rounds)`` above Euler's constant times
    the scale, and it never lies below ``-scale log(rounds)``: the density has no closed form, and it ends, so layers
    that need one refuse this noise.

    Draws are made in float64 and rounded to the type that is asked for.

    >>> z = SumOfGamma(k=3).sample((2, 5), torch.Generator().manual_seed(0))
    >>> z.shape, bool((z >= -math.log(10) / 3).all())
    (torch.Size([2, 5]), True)

    Args:
        k: how many coordinates a structure has.
        rounds: s, the terms of the series.
        scale: the scale of the Gumbel variable.

    Raises:
        ValueError: an argument out of its range.
    """

    k: int
    rounds: int = 10
    scale: float = 1.0

    def __post_init__(self) -> None:
        count(self.k, "k")
        count(self.rounds, "rounds")
        check_scale(self.scale)

    def sample(
        self,
        shape: Sequence[int],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        terms = self._gamma((self.rounds, *shape), generator)
        total = -log(torch.full(tuple(shape), float(self.rounds), dtype=torch.float64, device=generator.device))
        for i, term in enumerate(terms, 1):
            total = total + term * (self.k / i)
        return (total * (self.scale / self.k)).to(dtype)

    def _gamma(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Gamma variables of shape 1/k and scale one: those of shape 1 + 1/k times ``U^k`` (Marsaglia, Tsang 2000)."""
        boosted = _gamma_above_one(1.0 + 1.0 / self.k, math.prod(shape), generator).view(tuple(shape))
        base, power = uniform(shape, generator, torch.float64), torch.ones_like(boosted)
        exponent = self.k
        while exponent:  # by squaring: a library's power rounds otherwise on other machines
            if exponent % 2:
                power = power * base
            base, exponent = base * base, exponent // 2
        return boosted * power


def _gamma_above_one(a: float, size: int, generator: torch.Generator) -> Tensor:
    """Gamma variables ``(size,)`` of shape a > 1, by Marsaglia and Tsang's rejection (2000); 19 of 20 pass at once."""
    d = a - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    gammas = torch.empty(size, dtype=torch.float64, device=generator.device)
    left = torch.arange(size, device=generator.device)
    while len(left):
        x = Normal().sample((len(left),), generator, torch.float64)
        u = uniform((len(left),), generator, torch.float64)
        v = 1.0 + c * x
        v = v * v * v
        inside = v > 0
        v = torch.where(inside, v, 1.0)
        passed = inside & (log(u) < 0.5 * (x * x) + d * (1.0 - v + log(v)))
        gammas[left[passed]] = d * v[passed]
        left = left[~passed]
    return gammas
