"""The relaxed argmax: a regulariser softens the maximiser."""

from __future__ import annotations

from torch import Tensor

from structgrad.polytopes.base import Polytope
from structgrad.regularizers import Regularizer


class Relaxed:
    r"""``y_t(theta) = argmax_y <theta, y> - t R(y)``, the gradient of a convex potential.

    As ``t -> 0`` it becomes the argmax (paulus, Prop. 1), as ``t -> inf`` the regulariser's minimiser.

    Args:
        polytope: what is predicted.
        regularizer: R.
        temperature: t > 0.
    """

    def __init__(self, polytope: Polytope, regularizer: Regularizer, temperature: float = 1.0) -> None:
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, not {temperature}")
        self.polytope, self.regularizer, self.temperature = polytope, regularizer, temperature

    def __call__(self, theta: Tensor) -> Tensor:
        """The soft structure at ``theta`` ``(..., *event)``, differentiable, same shape."""
        return self.regularizer.maximise(self.polytope, theta / self.temperature)
