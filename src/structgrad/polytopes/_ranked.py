"""Scores replaced by their ranks, for structures that a greedy search finds: only the order of scores matters to them.

Forced coordinates come first in that order, whatever their scores. So bases of matroids (subsets, spanning trees) are
held to coordinates exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor


def ranked(theta: Tensor, forced: Tensor) -> Tensor:
    """``(M, n)`` scores that order coordinates as ``theta`` does, equal ones by their place, and forced ones first."""
    n = theta.shape[-1]
    order = torch.sort(theta, dim=-1, descending=True, stable=True).indices
    place = torch.arange(n, device=theta.device).expand(order.shape)
    ranks = torch.empty_like(order).scatter_(-1, order, place)
    return (n * forced.long() - ranks).double()
