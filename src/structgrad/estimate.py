"""A Monte-Carlo estimate and its standard error."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Estimate(NamedTuple):
    """A mean over draws and its standard error ``sd / sqrt(M)``, of the same shape."""

    value: Tensor
    standard_error: Tensor


def mean_of(draws: Tensor, dim: int) -> Estimate:
    """The mean of independent draws along ``dim`` and its standard error (NaN for a single draw)."""
    mean = draws.mean(dim)
    deviation = draws.std(dim) if draws.shape[dim] > 1 and mean.numel() else mean * float("nan")
    return Estimate(mean, deviation / draws.shape[dim] ** 0.5)
