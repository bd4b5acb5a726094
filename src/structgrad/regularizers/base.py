"""What every regulariser offers: the maximiser of ``<theta, y> - R(y)``, its value, and R itself."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from structgrad.autograd import envelope
from structgrad.described import Described
from structgrad.finite import in_range
from structgrad.polytopes.base import Polytope
from structgrad.portable import wide


class Regularizer(Described, ABC):
    """A strictly convex function ``R`` on a polytope; its conjugate's gradient is a soft argmax."""

    @abstractmethod
    def maximise(self, polytope: Polytope, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        """``argmax_y <theta, y> - R(y)``, differentiable in ``theta``, same shape and dtype.

        Raises:
            ValueError: bad scores or mask, or a polytope that this regulariser does not know.
        """

    @abstractmethod
    def value(self, polytope: Polytope, y: Tensor) -> Tensor:
        """``R(y)``, ``(...)``, for points ``(..., *event)`` of the polytope, vertices included; differentiable."""

    def potential(self, polytope: Polytope, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        """``max_y <theta, y> - R(y)``, ``(...)``; its gradient is :meth:`maximise`, exactly."""
        scores = wide(theta)
        y = self.maximise(polytope, scores, mask)
        event = tuple(range(-len(polytope.event_shape), 0))
        value = (scores * y).detach().sum(event) - self.value(polytope, y.detach())
        return envelope(in_range(value, "a potential", theta), theta, y.to(theta.dtype))


def unknown_pair(regularizer: Regularizer, polytope: Polytope) -> ValueError:
    """The error for a polytope that a regulariser does not know."""
    return ValueError(f"{type(regularizer).__name__} is not defined here for {type(polytope).__name__}")
