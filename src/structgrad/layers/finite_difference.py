"""The one finite difference under direct loss, blackbox and perturbed relaxations."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from structgrad.polytopes.base import Polytope
from structgrad.portable import wide

Solver = Polytope | Callable[[Tensor], Tensor]


def finite_difference(
    solve: Solver, theta: Tensor, direction: Tensor, epsilon: Tensor | float, two_sided: bool = False
) -> tuple[Tensor, Tensor]:
    r"""Both ends of ``(y(theta + eps * direction) - y(theta)) / eps`` for a map ``y``.

    With ``y`` an argmax and ``direction`` the linear cost, the quotient is the direct-loss gradient
    (indelman, Theorem 1; McAllester et al. 2010); with ``direction`` an incoming gradient it is the blackbox
    interpolation (Vlastelica et al. 2020) or, for a relaxed argmax, the vector-Jacobian product of paulus' App. D.

    Args:
        solve: a polytope (its maximiser is differenced) or any map of scores to structures.
        theta: scores ``(..., *event)``.
        direction: what the scores are moved by, broadcastable to ``theta``.
        epsilon: the step, of either sign, broadcastable to ``theta``.
        two_sided: start from ``theta - eps * direction`` instead of ``theta``; the quotient is then over ``2 eps`` and
            its bias ``O(eps^2)`` instead of ``O(eps)``.

    Returns:
        ``(y(start), y(theta + eps * direction))``; the caller divides, since it may want the ends themselves. Of
        scores narrower than float32 they are in float64.
    """
    theta = wide(theta)
    step = epsilon * direction
    moved = theta + step
    start = theta - step if two_sided else theta
    if isinstance(solve, Polytope):
        return solve.argmax_pair(start, moved)
    return solve(start), solve(moved)
