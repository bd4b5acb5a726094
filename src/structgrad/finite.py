"""Whether all numbers of a tensor are finite, in one pass, and what is said where a result is not."""

from __future__ import annotations

from math import inf, isfinite

from torch import Tensor

from structgrad.transforms import check_export, concrete


def largest(value: Tensor) -> float:
    """The largest magnitude, infinite where an entry is infinite or NaN: a NaN is both the smallest and the largest."""
    check_export()
    if not value.numel():
        return 0.0
    ends = [end.item() for end in concrete(value).detach().aminmax()]
    return max(map(abs, ends)) if all(map(isfinite, ends)) else inf


def all_finite(value: Tensor) -> bool:
    """False where an entry is infinite or NaN."""
    return largest(value) < inf


def in_range(value: Tensor, what: str, theta: Tensor) -> Tensor:
    """``value`` itself, in the dtype of ``theta``, if that holds it.

    Raises:
        ValueError: a number beyond the range of the dtype; ``what`` of the scores ``theta`` it is.
    """
    narrow = value.to(theta.dtype)
    if not all_finite(narrow):
        shape, dtype = tuple(theta.shape), str(theta.dtype).removeprefix("torch.")
        raise ValueError(f"theta of shape {shape} has {what} beyond {dtype}: give smaller scores or a wider type")
    return narrow
