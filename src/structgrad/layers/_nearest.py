"""The Euclidean regulariser over any polytope with a maximiser, and the combination of vertices that it finds.

The loop around :mod:`structgrad.layers._active_set`: the maximiser is asked for all items that are not done at once. It
works in float64 on the CPU; scores of other devices make the round trip.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import inf, prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from structgrad.autograd import Itemwise, constant
from structgrad.finite import largest
from structgrad.layers._active_set import advance
from structgrad.layers._face import Projected, face_basis
from structgrad.layers._perturbation import BLOCK
from structgrad.parallel import map_blocks, run_kernel
from structgrad.polytopes.base import Polytope
from structgrad.regularizers.base import Regularizer
from structgrad.regularizers.euclidean import half_square
from structgrad.transforms import concrete


class Combination(NamedTuple):
    """Of B items the nearest points ``(B, d)``, the vertices ``(B, m, d)`` and weights ``(B, m)`` that make them, gaps.

    Where an item needs fewer than m, the first vertex is repeated with weight zero.
    """

    y: Tensor
    vertices: Tensor
    weights: Tensor
    gap: Tensor


class Nearest(Regularizer):
    """``R(y) = |y|^2 / 2``, maximised by asking for vertices until the duality gap is at most ``tolerance``."""

    def __init__(self, iterations: int, tolerance: float) -> None:
        self.iterations, self.tolerance = iterations, tolerance

    def maximise(self, polytope: Polytope, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        p, mask, polytope = _rows(polytope, theta, mask)
        y, _ = _NearestPoint.apply(p, mask, polytope, partial(self._combine, polytope, tuple(theta.shape)))
        return y.view(theta.shape).to(theta.device, theta.dtype)

    def value(self, polytope: Polytope, y: Tensor) -> Tensor:
        return half_square(polytope, y)

    @torch.no_grad()
    def combination(self, polytope: Polytope, theta: Tensor, mask: Tensor | None) -> Combination:
        """The nearest points of scores ``(..., *event)``, their leading dimensions made one."""
        p, mask, polytope = _rows(polytope, theta, mask)
        return self._combine(polytope, tuple(theta.shape), p, mask)

    def _combine(self, polytope: Polytope, shape: tuple[int, ...], p: Tensor, mask: Tensor | None) -> Combination:
        def block(rows: slice) -> Combination:
            some = polytope.of_items(rows, (len(p),))
            return self._block(some, None if mask is None else mask[rows], shape, p[rows])

        blocks = map_blocks(block, len(p), max(1, BLOCK // max(1, p.shape[1])))
        if not blocks:
            return Combination(p, p.unsqueeze(1), p.new_ones(0, 1), p.new_zeros(0))
        room = max(part.weights.shape[1] for part in blocks)
        return Combination(
            torch.cat([part.y for part in blocks]),
            torch.cat([_widened(part.vertices, room) for part in blocks]),
            torch.cat([torch.nn.functional.pad(part.weights, (0, room - part.weights.shape[1])) for part in blocks]),
            torch.cat([part.gap for part in blocks]),
        )

    def _block(self, polytope: Polytope, mask: Tensor | None, shape: tuple[int, ...], p: Tensor) -> Combination:
        items = len(p)
        y = ask(polytope, mask, items, p, torch.arange(items, device="cpu")).contiguous()
        candidates, vertices, weights = y.clone(), y.unsqueeze(1).clone(), y.new_ones(items, 1)
        inner, factor = y.new_zeros(2, items, 1, 1)
        gap, done = y.new_full((items,), inf), torch.zeros(items, dtype=torch.bool, device="cpu")
        count = torch.ones(items, dtype=torch.int64, device="cpu")
        for _ in range(self.iterations):
            rows = (~done).nonzero().squeeze(1)
            candidates[rows] = ask(polytope, mask, items, p[rows] - y[rows], rows)
            if int(count.max()) == weights.shape[1]:
                vertices, weights = _doubled(vertices, (1,)), _doubled(weights, (1,))
                inner, factor = _doubled(inner, (1, 2)), _doubled(factor, (1, 2))
            state = (p, y, gap, done, count, vertices, weights, inner, factor, candidates)
            run_kernel(advance, *(part.numpy() for part in state), self.tolerance)
            if bool(done.all()):
                break
        if not bool(done.all()):
            raise ValueError(
                f"theta of shape {shape} needs more than iterations={self.iterations} rounds: a duality gap is "
                f"{float(gap.max()):.2g} times the temperature, and tolerance={self.tolerance:.2g} was asked for; "
                "raise one of them"
            )
        used = torch.arange(weights.shape[1], device="cpu") < count.unsqueeze(1)
        weights = torch.where(used, weights, 0.0)
        vertices = torch.where(used.unsqueeze(2), vertices, vertices[:, :1])
        room = int(count.max())
        return Combination(y, vertices[:, :room], weights[:, :room], gap)


class _NearestPoint(Itemwise):
    """The nearest point, and the vertices that make it; its derivative asks for what else the face holds."""

    @staticmethod
    def forward(p: Tensor, mask: Tensor | None, polytope: Polytope, combine: Any) -> tuple[Tensor, Tensor]:
        combination = combine(p.detach(), mask)
        return combination.y.clone(), combination.vertices

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        p, mask, ctx.polytope, _ = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)  # a potential's first derivative sends None: there is nothing to do then
        ctx.save_for_backward(p, mask, *output)
        ctx.save_for_forward(p, mask, *output)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, None, None, None]:
        if grad_outputs[0] is None:
            return None, None, None, None
        return Projected.apply(grad_outputs[0], _NearestPoint._basis(ctx)), None, None, None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> tuple[Tensor, None]:
        return Projected.apply(grad_inputs[0], _NearestPoint._basis(ctx)), None

    @staticmethod
    def _basis(ctx: Any) -> Tensor:
        def basis(p: Tensor, mask: Tensor | None, y: Tensor, vertices: Tensor) -> Tensor:
            with torch.no_grad():
                return face_basis(p - y, y, vertices, partial(ask, ctx.polytope, mask, len(p)))

        p, mask, y, vertices = ctx.saved_tensors
        return constant(basis, p.detach(), mask, y.detach(), vertices)


def ask(polytope: Polytope, mask: Tensor | None, items: int, scores: Tensor, rows: Tensor) -> Tensor:
    """The maximisers of scores ``(b, d)`` for those of the ``items`` whose numbers are given, ``(b, d)``."""
    polytope = polytope.of_items(rows, (items,))
    scores = scores.view(len(rows), *polytope.event_shape)
    mask = None if mask is None else mask[rows].view(scores.shape)
    return polytope._argmax(polytope._within(scores, largest(scores), mask), mask).flatten(1)


def _rows(polytope: Polytope, theta: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None, Polytope]:
    """Checked float64 scores, zero out of the mask, and the mask, ``(B, d)`` on the CPU; the items' polytope."""
    polytope._check(theta)
    mask = polytope._check_mask(theta, mask)
    if polytope.nonpositive and bool(concrete(theta > 0).any()):
        raise ValueError(
            f"theta of shape {tuple(theta.shape)} holds scores above zero, which count as zero over "
            f"{type(polytope).__name__}: there is no nearest point to them"
        )
    if polytope.has_offset:
        raise ValueError(
            f"polytope {type(polytope).__name__} has an offset, which <theta, y> - t |y|^2 / 2 leaves out: "
            "its structures have no nearest point; take Perturbed"
        )
    leading, size = theta.shape[: theta.dim() - len(polytope.event_shape)], prod(polytope.event_shape)
    items, polytope = prod(leading), polytope.of_items(..., leading)
    p = theta.to("cpu", torch.float64).reshape(items, size)
    if mask is None:
        return p, None, polytope
    mask = mask.to("cpu").reshape(items, size)
    return p.masked_fill(~mask, 0.0), mask, polytope


def _doubled(value: Tensor, dimensions: Sequence[int]) -> Tensor:
    """Room for twice as many vertices in these dimensions."""
    for dimension in dimensions:
        value = torch.cat([value, torch.zeros_like(value)], dimension)
    return value


def _widened(vertices: Tensor, room: int) -> Tensor:
    """The first vertex repeated until there are that many."""
    return torch.cat([vertices, vertices[:, :1].expand(-1, room - vertices.shape[1], -1)], 1)
