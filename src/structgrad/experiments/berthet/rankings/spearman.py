"""Spearman's rank correlation between the ranks of scores and given ranks."""

from __future__ import annotations

from torch import Tensor

from structgrad.polytopes.permutahedron import Permutahedron


def correlation(squares: Tensor, labels: int) -> Tensor:
    """``1 - 6 sum d^2 / (k (k^2 - 1))`` of the sums ``squares`` of squared rank differences between k labels."""
    return 1 - 6 * squares / (labels * (labels**2 - 1))


def spearman(theta: Tensor, y: Tensor) -> Tensor:
    """The correlation ``(...)`` float64 of scores ``(..., k)`` with ranks ``y``, which broadcast to them."""
    labels = theta.shape[-1]
    gap = (Permutahedron(labels).argmax(theta) - y).double()
    return correlation((gap**2).sum(-1), labels)
