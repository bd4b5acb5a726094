"""The one finite difference under direct loss, blackbox and perturbed relaxations."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from structgrad.polytopes.base import Polytope

Solver = Polytope | Callable[[Tensor], Tensor]


def finite_difference(
    solve: Solver, theta: Tensor, direction: Tensor, epsilon: Tensor | float
) -> tuple[Tensor, Tensor]:
    r"""Both ends of ``(y(theta + eps * direction) - y(theta)) / eps`` for a map ``y``.

    With ``y`` an argmax and ``direction`` the linear cost, the quotient is the direct-loss gradient
    (indelman, Theorem 1; McAllester et al. 2010).

    Args:
        solve: a polytope (its maximiser is differenced) or any map of scores to structures.
        theta: scores ``(..., *event)``.
        direction: what the scores are moved by, broadcastable to ``theta``.
        epsilon: the step, of either sign, broadcastable to ``theta``.

    Returns:
        ``(y(theta), y(theta + eps * direction))``; the caller divides, since it may want the ends themselves.
    """
    moved = theta + epsilon * direction
    if isinstance(solve, Polytope):
        return solve.argmax_pair(theta, moved)
    return solve(theta), solve(moved)
