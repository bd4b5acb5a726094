"""Targets as the losses take them."""

from __future__ import annotations

from torch import Tensor, strided

from structgrad.arguments import kind
from structgrad.finite import all_finite


def checked_target(theta: Tensor, y: Tensor, name: str = "y") -> Tensor:
    """``y`` expanded to the shape of ``theta`` and in its dtype.

    Raises:
        TypeError: no tensor.
        ValueError: a target that does not broadcast to the scores, or holds other than finite real numbers.
    """
    kind(y, name, Tensor, "a tensor")
    if y.is_complex() or y.is_meta or y.layout != strided or not all_finite(target := y.to(theta.dtype)):
        raise ValueError(f"{name} of shape {tuple(y.shape)} must hold finite real numbers, not {y.dtype} with others")
    try:
        return target.expand(theta.shape)
    except RuntimeError:
        raise ValueError(f"{name} of shape {tuple(y.shape)} does not fit scores {tuple(theta.shape)}") from None
