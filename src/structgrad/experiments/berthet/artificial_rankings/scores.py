"""How well scores rank: every metric of the figures."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.polytopes.permutahedron import Permutahedron
from structgrad.training.results import Mean, Proportion, Report

METRICS = ("perfect_clean", "partial_clean", "perfect_noisy", "partial_noisy")


def right_labels(theta: Tensor, clean: Tensor, noisy: Tensor) -> Tensor:
    """How many labels have their right rank, ``(..., 2)`` integers: against noise-free, then against noisy labels.

    Args:
        theta: scores ``(..., k)``.
        clean, noisy: ranks, broadcastable to ``theta``.
    """
    ranks = Permutahedron(theta.shape[-1]).argmax(theta)
    return torch.stack([(ranks == target).sum(-1) for target in (clean, noisy)], -1)


def report(right: Tensor, labels: int) -> dict[str, Report]:
    """What a replica's record holds of :func:`right_labels` ``(n, 2)``: a proportion and a mean for each reading."""
    reports: dict[str, Report] = {}
    for column, reading in enumerate(("clean", "noisy")):
        counts = right[:, column]
        reports[f"perfect_{reading}"] = Proportion(int((counts == labels).sum()), len(counts))
        reports[f"partial_{reading}"] = Mean.of((counts.double() / labels).tolist())
    return reports


def averages(right: Tensor, labels: int) -> Tensor:
    """:data:`METRICS` as fractions, ``(..., 4)`` float64, of :func:`right_labels` ``(n, ..., 2)``."""
    perfect = (right == labels).double().mean(0)
    partial = right.double().mean(0) / labels
    return torch.stack([perfect[..., 0], partial[..., 0], perfect[..., 1], partial[..., 1]], -1)
