"""Targets as the losses take them."""

from __future__ import annotations

from torch import Tensor


def checked_target(theta: Tensor, y: Tensor, name: str = "y") -> Tensor:
    """``y`` expanded to the shape of ``theta`` and in its dtype.

    Raises:
        ValueError: a target that does not broadcast to the scores.
    """
    try:
        return y.to(theta.dtype).expand(theta.shape)
    except RuntimeError:
        raise ValueError(f"{name} of shape {tuple(y.shape)} does not fit scores {tuple(theta.shape)}") from None
