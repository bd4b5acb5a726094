"""The k best structures of any polytope with binary vertices, by partitions over its maximiser.

Lawler (1972; Murty 1968 for assignments): what is not the best structure y differs from it in a first coordinate, and
is the best one of those with the coordinates before it held and that one flipped, or comes after one that is. Held and
flipped coordinates are allowed or not, forced or not, never rewarded or punished by a number, so that nothing is lost
beside large scores.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import compress
from math import fsum, prod

import torch
from torch import Tensor

from structgrad.arguments import count, kind
from structgrad.autograd import constant
from structgrad.finite import in_range
from structgrad.polytopes._range import HUGE, bounded
from structgrad.polytopes.base import Polytope


def k_best(polytope: Polytope, theta: Tensor, k: int, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The k structures of the largest ``<theta, y>``, best first.

    On the CPU, one item after another; each structure found costs one batched call of the maximiser, with as many rows
    as it has coordinates to flip. Equal scores come in the order in which the search meets them, always alike.

    Args:
        polytope: a simplex, hypercube, subset, correlated subset, matching, spanning tree or arborescence.
        theta: scores, ``(..., *event_shape)``, finite.
        k: how many, at least 1.
        mask: as in :meth:`Polytope.argmax`.

    Returns:
        The structures ``(..., k, *event_shape)``, without gradient, and their scores ``(..., k)``, differentiable; both
        in the dtype and on the device of ``theta``.

    Raises:
        TypeError, ValueError: what the maximiser refuses; another polytope; fewer than k structures; a score of a
            structure that the dtype does not hold.

    >>> from structgrad.polytopes import Subset
    >>> y, scores = k_best(Subset(3, 2), torch.tensor([3.0, 1.0, 2.0]), 2)
    >>> y.tolist(), scores.tolist()
    ([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]], [5.0, 4.0])
    """
    kind(polytope, "polytope", Polytope, "a polytope")
    k = count(k, "k")
    size = polytope._check(theta)
    mask = polytope._check_mask(theta, mask)
    rank = len(polytope.event_shape)
    leading, width = theta.shape[: theta.dim() - rank], prod(polytope.event_shape)

    def search(theta: Tensor, mask: Tensor | None) -> Tensor:
        scores = theta.detach().double()
        if size > HUGE:
            scores = bounded(scores, rank, mask)
        rows = scores.cpu().reshape(len(scores), width)
        allowed = torch.ones_like(rows, dtype=torch.bool) if mask is None else mask.cpu().reshape(rows.shape)
        structures = []
        for item, row in enumerate(rows):
            best = _search(polytope, row, allowed[item], k)
            if len(best) < k:
                raise ValueError(f"k must be at most the number of structures, {len(best)} for some scores, not {k}")
            structures.append(torch.stack(best))
        return (torch.stack(structures) if structures else allowed.new_empty(0, k, width)).to(theta.device)

    items = (None if x is None else x.reshape(prod(leading), *polytope.event_shape) for x in (theta, mask))
    y = constant(search, *items).view(*leading, k, *polytope.event_shape).to(theta.dtype)
    values = (theta.double().unsqueeze(-rank - 1) * y).flatten(len(leading) + 1).sum(-1)
    return y, in_range(values, "a score of a structure", theta)


def _search(polytope: Polytope, scores: Tensor, allowed: Tensor, k: int) -> list[Tensor]:
    """The best structures of one item's flat scores, at most k."""
    number = scores.tolist()
    waiting: list[tuple[float, int, Tensor, Tensor, Tensor]] = []  # the best of each part, and what holds in the part
    pushed = 0

    def push(allowed: Tensor, forced: Tensor, size: int | None = None) -> None:
        nonlocal pushed
        y, there = _solve(polytope, scores, allowed, forced)
        for row, (used, good) in enumerate(zip(y.tolist(), there.tolist(), strict=True)):
            if good and (size is None or sum(used[: polytope.telling]) == size):  # else a vertex has gone absent
                heappush(waiting, (-fsum(compress(number, used)), pushed, y[row], allowed[row], forced[row]))
                pushed += 1

    push(allowed.unsqueeze(0), torch.zeros_like(allowed).unsqueeze(0))
    structures: list[tuple[float, Tensor]] = []
    while waiting and len(structures) < k:
        value, _, y, allowed, forced = heappop(waiting)
        structures.append((value, y))
        if len(structures) < k:
            parts = _partition(y, allowed, forced, polytope)
            push(*parts, None if polytope.nested else int(y[: polytope.telling].sum()))
    return [y for _, y in sorted(structures, key=lambda pair: pair[0])]  # searches round their sums, if little


def _partition(y: Tensor, allowed: Tensor, forced: Tensor, polytope: Polytope) -> tuple[Tensor, Tensor]:
    """What is allowed and what forced in each part of all structures but y, ``(parts, width)``."""
    ones = (y & ~forced)[: polytope.telling].nonzero()[:, 0]
    zeros = (allowed & ~y).nonzero()[:, 0] if polytope.nested else ones[:0]
    flipped = torch.cat([ones, zeros])
    part = torch.arange(len(flipped), device="cpu")
    may, must = allowed.repeat(len(part), 1), forced.repeat(len(part), 1)
    before = part.unsqueeze(-1) > part
    may[:, zeros] &= ~before[:, len(ones) :]
    must[:, ones] |= before[:, : len(ones)]
    may[part[: len(ones)], ones] = False
    must[part[len(ones) :], zeros] = True
    return may, must


def _solve(polytope: Polytope, scores: Tensor, allowed: Tensor, forced: Tensor) -> tuple[Tensor, Tensor]:
    """The best structure of each row of constraints, boolean, and whether there is one."""
    events = (len(allowed), *polytope.event_shape)
    may, must = polytope._forcing(allowed.view(events), forced.view(events))
    there = polytope._feasible(may)
    y = torch.zeros_like(allowed)
    if bool(there.any()):
        theta = scores.view(polytope.event_shape).expand(may.shape)[there]
        y[there] = polytope._argmax_forced(theta, may[there], must[there]).flatten(1).bool()
    return y, there & ~(forced & ~y).any(-1)
