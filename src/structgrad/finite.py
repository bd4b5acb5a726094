"""Whether all numbers of a tensor are finite, in one pass."""

from __future__ import annotations

from math import isfinite

from torch import Tensor


def all_finite(value: Tensor) -> bool:
    """False where an entry is infinite or NaN: a NaN anywhere is both the smallest and the largest entry."""
    return not value.numel() or all(isfinite(end.item()) for end in value.detach().aminmax())
