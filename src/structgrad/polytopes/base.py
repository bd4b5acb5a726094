"""What every polytope offers: its maximiser, and for small sizes all its vertices."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Polytope(ABC):
    """The convex hull of a set of structures, each an indicator tensor of shape ``event_shape``."""

    event_shape: tuple[int, ...]

    @abstractmethod
    def argmax(self, theta: Tensor) -> Tensor:
        """``argmax_y <theta, y>`` over the vertices, for any leading dimensions.

        Args:
            theta: scores, ``(..., *event_shape)``, finite.

        Returns:
            The maximising vertex of each score, same shape and dtype, without gradient.
        """

    @abstractmethod
    def vertices(self) -> Tensor:
        """All vertices, ``(count, *event_shape)``, float64. For small sizes only: it is what tests compare with."""

    def argmax_pair(self, theta: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """The maximisers at two scores that lie near each other, as finite differences need them.

        The same as two calls of :meth:`argmax`; polytopes whose solver can start the second search from the
        first one's solution override it.
        """
        return self.argmax(theta), self.argmax(other)

    def _check(self, theta: Tensor, name: str = "theta") -> None:
        rank = len(self.event_shape)
        if theta.dim() < rank or tuple(theta.shape[theta.dim() - rank :]) != self.event_shape:
            raise ValueError(f"{name} must end in {self.event_shape}, not {tuple(theta.shape)}")
        if not theta.is_floating_point():
            raise ValueError(f"{name} of shape {tuple(theta.shape)} must be floating point, not {theta.dtype}")
        if theta.numel() and not all(map(torch.isfinite, theta.detach().aminmax())):  # one pass, NaN shows in both
            raise ValueError(f"{name} of shape {tuple(theta.shape)} holds NaN or infinite scores")
