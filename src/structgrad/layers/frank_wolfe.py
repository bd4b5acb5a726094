r"""The regularised argmax over any polytope, from its maximiser alone, by a fully corrective Frank-Wolfe method.

    y_t(theta) = argmax_y <theta, y> - t |y|^2 / 2 = the point nearest to theta / t

over the convex hull of the vertices, as a combination of few of them: SparseMAP (Niculae et al. 2018). Each round asks
for the best vertex ``v`` at the slope ``theta - t y`` (Frank-Wolfe; Dalle et al. 2022 make layers of it) and solves the
problem on the active vertices exactly (Wolfe 1976): it ends after finitely many. The duality gap bounds the error:

    gap = max_v <theta - t y, v - y> >= t |y - y_t|^2

With B the differences of the vertices that share the slope's maximum, ``dy / dtheta = B (B' B)^-1 B' / t``.
"""

from __future__ import annotations

from math import isfinite
from numbers import Real
from typing import NamedTuple

from torch import Tensor

from structgrad.arguments import count, kind
from structgrad.layers._nearest import Nearest
from structgrad.layers.base import Scale
from structgrad.layers.relaxed import Relaxed
from structgrad.polytopes.base import Polytope


class Decomposition(NamedTuple):
    """``y = sum_j weights_j vertices_j``, with vertices ``(..., m, *event)`` and weights ``(..., m)``.

    The heaviest come first; items that need fewer than m have weights of zero at the end. ``gap`` ``(...)`` is the
    duality gap.
    """

    vertices: Tensor
    weights: Tensor
    gap: Tensor


class FrankWolfe(Relaxed):
    r"""``y_t(theta) = argmax_y <theta, y> - t |y|^2 / 2`` over any polytope, a combination of few vertices.

    What ``Relaxed(polytope, Euclidean(), t)`` computes where a projection is known, and the same for trees, matchings,
    paths and black boxes; as sparse, with as many calls of the maximiser as vertices are tried (all items that are not
    done share a call), and two more for a derivative. That is exact: the projection onto the directions of the face,
    over t, and at kinks the derivative of one side. It can be used wherever a :class:`Relaxed` can.

    Scores of more than 1e15 t hide the regulariser from float64: of several structures that are best by them, some
    combination is found. Over :class:`structgrad.polytopes.GridPath` scores must not be above zero; the slopes
    ``theta - t y`` that the maximiser is asked for then are not either.

    >>> import torch
    >>> from structgrad.polytopes import SpanningTree
    >>> layer = FrankWolfe(SpanningTree(3))
    >>> layer(torch.tensor([1.0, 0.5, 0.0]))
    tensor([1.0000, 0.7500, 0.2500])
    >>> vertices, weights, gap = layer.decompose(torch.tensor([1.0, 0.5, 0.0]))
    >>> vertices.tolist(), weights.tolist()
    ([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]], [0.75, 0.25])

    Args:
        polytope: what is predicted.
        temperature: t > 0; a tensor (which may learn) holds one per item and broadcasts to the leading dimensions.
        iterations: the most rounds, each a call of the maximiser for the items that are not done.
        tolerance: an item is done when its duality gap is at most ``t tolerance``, so that
            ``|y - y_t|^2 <= tolerance``, or nothing but rounding. Below 1e-12 or so it is rounding that counts.

    Raises:
        TypeError, ValueError: an argument of the wrong kind or range; when called, bad scores or mask, scores above
            zero where the polytope knows none, or an item that is not done after all rounds.
    """

    regularizer: Nearest

    def __init__(
        self, polytope: Polytope, temperature: Scale = 1.0, iterations: int = 1000, tolerance: float = 1e-12
    ) -> None:
        kind(tolerance, "tolerance", Real, "a number")  # type: ignore[type-abstract]
        if not (isfinite(tolerance) and tolerance >= 0):
            raise ValueError(f"tolerance must be finite and not negative, not {tolerance}")
        super().__init__(polytope, Nearest(count(iterations, "iterations"), float(tolerance)), temperature)
        self._iterations, self._tolerance = iterations, tolerance

    def decompose(self, theta: Tensor, mask: Tensor | None = None) -> Decomposition:
        """The vertices and weights behind :meth:`forward`, without gradient, in the dtype of ``theta``."""
        self.polytope._check_shape(theta)
        combination = self.regularizer.combination(self.polytope, self._tempered(theta.detach(), mask), mask)
        event = self.polytope.event_shape
        leading = theta.shape[: theta.dim() - len(event)]
        weights, order = combination.weights.sort(dim=-1, descending=True, stable=True)
        vertices = combination.vertices.take_along_dim(order.unsqueeze(-1), 1)
        room = weights.shape[1]
        vertices, weights, gap = (part.to(theta.device, theta.dtype) for part in (vertices, weights, combination.gap))
        temperature = self.temperature.detach() if isinstance(self.temperature, Tensor) else self.temperature
        return Decomposition(
            vertices.view(*leading, room, *event),
            weights.view(*leading, room),
            (temperature * gap.view(leading)).to(theta.dtype),
        )
