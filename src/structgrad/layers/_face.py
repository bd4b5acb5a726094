r"""The derivative of a projection onto a polytope: the orthogonal projection onto the directions of a face.

Where ``y`` is the point of the polytope nearest to ``p``, the vertices that maximise ``<p - y, v>`` span the face that
``y`` moves in, and with an orthonormal basis Q of the differences of these vertices ``dy/dp = Q' Q``. For almost all
``p`` the active vertices span that face; where scores are equal by symmetry (all zero, at the start of training) a few
of its vertices may hold ``y``. So the maximiser is asked for others, near ``p - y`` in directions orthogonal to those
known, until it knows none. Where the face that ``y`` lies in is smaller than that one, ``p`` is at a kink: the
derivative is then that of the side on which ``y`` moves into the larger face.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from structgrad.autograd import Itemwise
from structgrad.parallel import run_kernel
from structgrad.portable import product

NEAR = 2.0**-23  # of a score's magnitude (of one, if that is larger): how far from ``p - y`` others are asked for
INSIDE = 1e-10  # of the same: by how much a vertex may lie below the face and count as one of its own
SMALL = 2.0**-64  # keeps sums of the largest scores finite
MOST = 1.7e308
DEPENDENT = 1e-6  # a distance to the span, relative to the length, that counts as none


class Projected(Itemwise):
    """``directions`` ``(B, d)`` projected onto the rows of ``basis`` ``(B, r, d)``; it is its own transpose."""

    @staticmethod
    def forward(directions: Tensor, basis: Tensor) -> Tensor:
        return project(directions, basis)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])
        ctx.save_for_forward(inputs[1])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        return Projected.apply(grad_outputs[0], ctx.saved_tensors[0]), None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        return Projected.apply(grad_inputs[0], ctx.saved_tensors[0])


def project(directions: Tensor, basis: Tensor) -> Tensor:
    return product(basis.mT, product(basis, directions.unsqueeze(-1))).squeeze(-1)


def face_basis(residual: Tensor, y: Tensor, vertices: Tensor, solve: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """An orthonormal basis ``(B, r, d)`` of the face of each item, with zeros where its dimension is below r.

    Args:
        residual: ``p - y``, ``(B, d)`` float64 on the CPU.
        y: the nearest points.
        vertices: active ones, ``(B, m, d)``; repetitions of the first do no harm.
        solve: maximisers of scores ``(b, d)`` of the items whose numbers ``(b,)`` are given.
    """
    items, room, size = vertices.shape
    basis = y.new_zeros(items, max(1, room - 1), size)
    rank, asked = (torch.zeros(items, dtype=kind, device="cpu") for kind in (torch.int64, torch.bool))
    base, misses = vertices[:, 0].contiguous(), rank.clone()

    def widen(points: Tensor, inside: float) -> None:
        rows = (part.contiguous().numpy() for part in (residual, y, base, points))
        run_kernel(_widen, *rows, basis.numpy(), rank.numpy(), asked.numpy(), inside)

    asked[:] = True
    for vertex in vertices.unbind(1):
        widen(vertex, inf)
    draw = torch.rand(size, generator=torch.Generator("cpu").manual_seed(0), dtype=torch.float64, device="cpu") - 0.5
    for turn in range(2 * size + 2):  # a miss on either side ends it, and what is found makes the rank larger
        asked = (misses < 2) & (rank < size)
        rows = asked.nonzero().squeeze(1)
        if not len(rows):
            break
        if int(rank.max()) == basis.shape[1]:
            basis = torch.nn.functional.pad(basis, (0, 0, 0, basis.shape[1]))
        away = draw * residual[rows].abs().clamp(min=1.0)
        away = (away - project(away, basis[rows])) * (NEAR if turn % 2 else -NEAR)
        points, before = torch.zeros_like(y), rank.clone()
        points[rows] = solve((residual[rows] + away).clamp(-MOST, MOST), rows)
        widen(points, INSIDE)
        misses = torch.where(rank > before, 0, misses + 1)
    return basis[:, : max(1, int(rank.max()))] if items else basis


@njit(cache=True, nogil=True)
def _widen(residual, y, base, points, basis, rank, asked, inside):
    """Add ``points - base`` to the bases of the items asked for, where it is in the face and not in the span."""
    size = y.shape[1]
    rest = np.empty(size)
    for b in range(len(y)):
        if not asked[b]:
            continue
        gain, width, length = 0.0, 0.0, 0.0
        for i in range(size):
            away = (points[b, i] - y[b, i]) * SMALL
            gain += residual[b, i] * away
            width += max(1.0, abs(residual[b, i])) * abs(away)
            rest[i] = points[b, i] - base[b, i]
            length += rest[i] * rest[i]
        if length == 0.0 or abs(gain) > inside * width:
            continue
        left = 0.0
        for _ in range(2):  # once more for what rounding left
            for r in range(rank[b]):
                along = 0.0
                for i in range(size):
                    along += basis[b, r, i] * rest[i]
                for i in range(size):
                    rest[i] -= along * basis[b, r, i]
            left = 0.0
            for i in range(size):
                left += rest[i] * rest[i]
        if left > DEPENDENT * DEPENDENT * length:
            basis[b, rank[b]] = rest / np.sqrt(left)
            rank[b] += 1
