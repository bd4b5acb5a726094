"""What every layer offers: a smoothed argmax, and where there is one the convex potential behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from numbers import Real
from typing import Self, overload

import torch
from torch import Tensor, nn

from structgrad.arguments import kind
from structgrad.described import Described
from structgrad.noise import Generators
from structgrad.polytopes.base import Polytope
from structgrad.transforms import concrete

Scale = float | Tensor


class Layer(Described, nn.Module, ABC):
    """A map of scores ``(..., *event)`` to soft structures of the same shape, differentiable.

    A layer that draws takes its randomness from ``generator``: one, or a sequence with one for each index of the first
    dimension (replicas that must not see each other). ``mask`` is the polytope's.
    """

    def __init__(self, polytope: Polytope) -> None:
        super().__init__()
        self.polytope = kind(polytope, "polytope", Polytope, "a polytope")

    def over(self, polytope: Polytope) -> Self:
        """This layer, with the same parameters, over another polytope of the same event.

        ``layer.over(box.given(contexts))`` is the layer for a batch of which each item has a context of its own
        (:meth:`structgrad.polytopes.BlackBox.given`).

        Raises:
            ValueError: a polytope of another event.
        """
        if kind(polytope, "polytope", Polytope, "a polytope").event_shape != self.polytope.event_shape:
            wanted, given = self.polytope.event_shape, polytope.event_shape
            raise ValueError(f"polytope must be of this layer's event shape {wanted}, not {given}")
        other = copy(self)
        other.polytope, other._modules = polytope, dict(self._modules)
        return other

    @abstractmethod
    def forward(self, theta: Tensor, generator: Generators | None = None, mask: Tensor | None = None) -> Tensor:
        """The soft structures at ``theta``."""

    def potential(self, theta: Tensor, generator: Generators | None = None, mask: Tensor | None = None) -> Tensor:
        """The convex function ``F`` ``(...)`` whose gradient the layer is; the gradient that arrives is exactly that.

        (:class:`structgrad.layers.PerturbedMultiplicative` says what its gradient is instead.)

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
        TypeError: no number and no tensor of floating-point numbers.
        ValueError: an entry that is zero, negative, NaN or infinite.
    """
    if isinstance(value, Tensor):
        if not value.is_floating_point():
            raise TypeError(f"{name} of shape {tuple(value.shape)} must be floating point, not {value.dtype}")
        if value.is_meta or value.layout != torch.strided:
            held = f"{value.layout}, {value.device}"
            raise ValueError(f"{name} of shape {tuple(value.shape)} must hold dense numbers, not {held}")
        if value.numel() and not bool(concrete((value > 0) & torch.isfinite(value)).all()):
            raise ValueError(f"{name} of shape {tuple(value.shape)} must be positive and finite")
        return value
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number or a tensor, not {type(value).__name__}")
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be positive and finite, not {value}")
    return value


def hold(module: nn.Module, name: str, value: Scale) -> None:
    """Make the checked scale a parameter, a buffer or a number of a module, or keep what another module computed.

    Raises:
        ValueError: a tensor that asks for a gradient of its own but is no parameter: no optimiser would find it.
    """
    value = checked_scale(value, name)
    if not isinstance(value, Tensor) or isinstance(value, nn.Parameter):
        setattr(module, name, value)
    elif not value.requires_grad:
        module.register_buffer(name, value)
    elif value.is_leaf:
        raise ValueError(f"{name} requires a gradient but is no parameter: wrap it in torch.nn.Parameter")
    else:
        setattr(module, name, value)


def fitted(value: Scale, name: str, theta: Tensor, rank: int) -> Scale:
    """The checked scale of each item of ``theta`` ``(..., *event)``, which broadcasts over ``rank`` event dimensions.

    Raises:
        ValueError: a tensor that does not broadcast to the items, or would make more of them.
    """
    value = checked_scale(value, name)
    if not isinstance(value, Tensor):
        return value
    leading = theta.shape[: theta.dim() - rank]
    if value.dim() > len(leading) or any(
        size not in (1, items) for size, items in zip(value.shape[::-1], leading[::-1], strict=False)
    ):
        raise ValueError(
            f"{name} of shape {tuple(value.shape)} does not fit theta of shape {tuple(theta.shape)}: "
            f"it holds one number for all, or one per item, {tuple(leading)}"
        )
    return over_event(value, rank)


@overload
def over_event(value: Tensor, rank: int) -> Tensor: ...


@overload
def over_event(value: Scale, rank: int) -> Scale: ...


def over_event(value: Scale, rank: int) -> Scale:
    """One number per item ``(...)`` with ``rank`` ones behind it, so that it broadcasts over the event's dimensions."""
    return value.reshape(*value.shape, *(1,) * rank) if isinstance(value, Tensor) else value
