"""How well scores rank: every metric of the figures."""

from __future__ import annotations

from math import fsum

import torch
from torch import Tensor

from structgrad.polytopes.permutahedron import Permutahedron

METRICS = ("perfect_clean", "partial_clean", "perfect_noisy", "partial_noisy")


def right_labels(theta: Tensor, clean: Tensor, noisy: Tensor) -> Tensor:
    """How many labels have their right rank, ``(..., 2)`` integers: against noise-free, then against noisy labels.

    Args:
        theta: scores ``(..., k)``.
        clean, noisy: ranks, broadcastable to ``theta``.
    """
    found = Permutahedron(theta.shape[-1]).argmax(theta)
    return torch.stack([(found == target).sum(-1) for target in (clean, noisy)], -1)


def report(right: Tensor, labels: int) -> dict[str, dict[str, float]]:
    """What a replica's record holds of :func:`right_labels` ``(n, 2)``: a proportion and a mean for each reading."""
    reports: dict[str, dict[str, float]] = {}
    for column, reading in enumerate(("clean", "noisy")):
        share = right[:, column].double() / labels
        reports[f"perfect_{reading}"] = {"successes": int((right[:, column] == labels).sum()), "trials": len(right)}
        reports[f"partial_{reading}"] = {
            "sum": fsum(share.tolist()),
            "sum_squares": fsum((share**2).tolist()),
            "count": len(right),
        }
    return reports


def averages(right: Tensor, labels: int) -> Tensor:
    """:data:`METRICS` as fractions, ``(..., 4)`` float64, of :func:`right_labels` ``(n, ..., 2)``."""
    perfect = (right == labels).double().mean(0)
    partial = right.double().mean(0) / labels
    return torch.stack([perfect[..., 0], partial[..., 0], perfect[..., 1], partial[..., 1]], -1)
