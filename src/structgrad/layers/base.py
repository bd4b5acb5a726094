"""What every layer offers: a smoothed argmax, and where there is one the convex potential behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import overload

import torch
from torch import Tensor, nn

from structgrad.noise import Generators
from structgrad.polytopes.base import Polytope

Scale = float | Tensor


class Layer(nn.Module, ABC):
    """A map of scores ``(..., *event)`` to soft structures of the same shape, differentiable.

    A layer that draws takes its randomness from ``generator``: one, or a sequence with one for each index of the first
    dimension (replicas that must not see each other). ``mask`` is the polytope's.
    """

    def __init__(self, polytope: Polytope) -> None:
        super().__init__()
        self.polytope = polytope

    @abstractmethod
    def forward(self, theta: Tensor, generator: Generators | None = None, mask: Tensor | None = None) -> Tensor:
        """The soft structures at ``theta``."""

    def potential(self, theta: Tensor, generator: Generators | None = None, mask: Tensor | None = None) -> Tensor:
        """The convex function ``F`` ``(...)`` whose gradient the layer is; the gradient that arrives is exactly that.

        Raises:
            ValueError: this layer is not the gradient of a potential.
        """
        raise ValueError(f"{type(self).__name__} is not the gradient of a known potential")

    def conjugate(self, y: Tensor) -> Tensor | None:
        """``F*(y)``, ``(...)``, where it is known; None where it is not (it does not depend on the scores)."""
        return None


def checked_scale(value: Scale, name: str) -> Scale:
    """The temperature or magnitude itself, if every entry is positive.

    Raises:
        ValueError: an entry that is zero, negative, NaN or infinite.
    """
    if isinstance(value, Tensor):
        if value.numel() and not bool(((value > 0) & torch.isfinite(value)).all()):
            raise ValueError(f"{name} of shape {tuple(value.shape)} must be positive and finite")
    elif not 0 < value < float("inf"):
        raise ValueError(f"{name} must be positive and finite, not {value}")
    return value


@overload
def over_event(value: Tensor, rank: int) -> Tensor: ...


@overload
def over_event(value: Scale, rank: int) -> Scale: ...


def over_event(value: Scale, rank: int) -> Scale:
    """A number an item ``(...)`` with ``rank`` ones behind it, so that it broadcasts over the event's dimensions."""
    return value.reshape(*value.shape, *(1,) * rank) if isinstance(value, Tensor) else value
