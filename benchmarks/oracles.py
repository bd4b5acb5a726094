"""High-precision truths for the rows where the peer itself is not accurate enough to be compared with."""

from __future__ import annotations

from typing import Any

import mpmath
import torch
from torch import Tensor


def tree_marginals(theta: Tensor, n: int, digits: int = 200) -> Tensor:
    """Edge marginals ``(n(n-1)/2,)`` of one graph: weight times effective resistance (Kirchhoff), by a long inverse."""
    ends = [(i, j) for i in range(n) for j in range(i + 1, n)]
    with mpmath.workdps(digits):
        weights = [mpmath.exp(score) for score in theta.tolist()]
        laplacian = mpmath.zeros(n)
        for (i, j), weight in zip(ends, weights, strict=True):
            laplacian[i, i] += weight
            laplacian[j, j] += weight
            laplacian[i, j] -= weight
            laplacian[j, i] -= weight
        inverse = laplacian[1:, 1:] ** -1

        def entry(i: int, j: int) -> Any:
            return inverse[i - 1, j - 1] if i and j else mpmath.mpf(0)

        marginals = [w * (entry(i, i) + entry(j, j) - 2 * entry(i, j)) for (i, j), w in zip(ends, weights, strict=True)]
        return torch.tensor([float(mu) for mu in marginals], dtype=torch.float64)
