"""What a perturbed maximiser drew and found, and the nodes that put its derivatives into autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from structgrad.layers._contractions import mean
from structgrad.layers._draws import drowned
from structgrad.noise import Noise
from structgrad.parallel import map_blocks
from structgrad.polytopes.base import Polytope
from structgrad.portable import dots

BLOCK = 1 << 17  # scores a worker handles at once, on a CPU: they and their solutions stay in cache


class Draws(NamedTuple):
    """B items: their scores, magnitudes ``(B,)``, noise and solutions ``(B, M, *event)``.

    ``mask`` is the polytope's; ``active`` marks the coordinates whose noise matters; both ``(B, 1, *event)`` or None.
    ``polytope`` is that of these items. Where ``offset``, ``y`` is h of the solutions, ``(B, M, 1)``: one more
    coordinate of them, with a score of 1 and without noise.
    """

    theta: Tensor
    sigma: Tensor
    z: Tensor
    y: Tensor
    mask: Tensor | None
    active: Tensor | None
    polytope: Polytope
    offset: bool = False

    def rows(self, rows: slice | Tensor) -> Draws:
        parts = (None if part is None else part[rows] for part in self[:TENSORS])
        return Draws(*parts, self.polytope.of_items(rows, (len(self.z),)), self.offset)  # type: ignore[arg-type]

    def offsets(self) -> Tensor | None:
        """``h(y)``, ``(B, M)`` float64, where the polytope has one."""
        return self.polytope.offset(self.y)

    def without_noise(self) -> Tensor:
        """The solutions at ``theta`` itself, ``(B, *event)`` (h of them where ``offset``, ``(B, 1)``)."""
        best = self.polytope.argmax(self.theta, None if self.mask is None else self.mask.squeeze(1))
        value = self.polytope.offset(best) if self.offset else None
        return best if value is None else value.unsqueeze(-1).to(best.dtype)


TENSORS = 6  # the first parts of draws
# The derivatives of <direction, maximiser> in theta and in sigma, as far as wanted.
Pulled = tuple[Tensor | None, Tensor | None]


def columns(value: Tensor, like: Tensor) -> Tensor:
    """Ones behind the dimensions of ``value``, as many as ``like`` has more."""
    return value.view(*value.shape, *(1,) * (like.dim() - value.dim()))


def map_items(function: Callable[[slice], None], z: Tensor) -> None:
    """``function(rows)`` for all items: in blocks that fit the cache on a CPU, all at once elsewhere."""
    items = len(z)
    size = max(1, BLOCK // max(1, z[0].numel())) if items and z.device.type == "cpu" else items
    map_blocks(function, items, size)


def solve(draws: Draws, noise: Noise) -> None:
    """Fill in the solutions, in float64 where nothing of the noise is left beside the scores."""

    @torch.no_grad()
    def fill(rows: slice) -> None:
        part = draws.rows(rows)
        part.y[:] = part.polytope.argmax_perturbed(part.theta, part.sigma, part.z, part.mask)
        lost = drowned(noise, part.theta, part.theta.dim() - 1, part.sigma)
        if lost is not None:
            some = part.rows(lost)
            theta, sigma, z = (x.double() for x in some[:3])
            part.y[lost] = some.polytope.argmax_perturbed(theta, sigma, z, some.mask).to(part.y.dtype)

    map_items(fill, draws.z)


@torch.no_grad()
def maxima_of(draws: Draws) -> Tensor:
    """``<theta + sigma z, y> + h(y)``, ``(B, M)`` float64."""
    maxima = draws.z.new_empty(draws.z.shape[:2], dtype=torch.float64)

    @torch.no_grad()
    def fill(rows: slice) -> None:
        theta, sigma, z, y = (part[rows] for part in draws[:4])
        noise = dots(z.flatten(2), y.flatten(2))
        maxima[rows] = dots(theta.unsqueeze(1).expand_as(y).flatten(2), y.flatten(2)) + columns(sigma, noise) * noise

    map_items(fill, draws.z)
    offsets = draws.offsets()
    return maxima if offsets is None else maxima + offsets


@torch.no_grad()
def slopes_of(draws: Draws) -> Tensor:
    """The mean of ``<z, y>`` over the samples, ``(B,)``."""
    slopes = draws.z.new_empty(len(draws.z))

    @torch.no_grad()
    def fill(rows: slice) -> None:
        slopes[rows] = (dots(draws.z[rows].flatten(1), draws.y[rows].flatten(1)) / draws.z.shape[1]).to(slopes.dtype)

    map_items(fill, draws.z)
    return slopes


class Maximiser(Function):
    """The mean of the solutions, with the derivatives of its expectation."""

    @staticmethod
    def forward(ctx: Any, pull: Callable[[Draws, Tensor, bool, bool], Pulled], *draws: Any) -> Tensor:
        ctx.pull, ctx.others = pull, draws[TENSORS:]
        ctx.set_materialize_grads(False)  # the potential's first derivative sends None: there is nothing to do then
        ctx.save_for_backward(*draws[:TENSORS])
        return mean(Draws(*draws).y)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        draws, direction = Draws(*ctx.saved_tensors, *ctx.others), grad_outputs[0]
        if direction is None:
            return (None,) * 9
        wanted = ctx.needs_input_grad[1:3]
        in_theta, in_sigma = torch.zeros_like(draws.theta), torch.zeros_like(draws.sigma)

        @torch.no_grad()
        def fill(rows: slice) -> None:
            parts = ctx.pull(draws.rows(rows), direction[rows], *wanted)
            for found, part in zip((in_theta, in_sigma), parts, strict=True):
                if part is not None:
                    found[rows] = part

        map_items(fill, draws.z)
        if torch.is_grad_enabled():  # create_graph: what follows would silently lack these terms
            in_theta, in_sigma = _Once.apply(in_theta, in_sigma, draws.theta, draws.sigma, direction)
        return None, in_theta, in_sigma, *(None,) * 6


def offset_of(pull: Callable[[Draws, Tensor, bool, bool], Pulled], draws: Draws) -> Tensor | None:
    """The mean of ``h(y)``, ``(B,)``, with the derivatives of its expectation; None where there is no h."""
    offsets = draws.offsets()
    if offsets is None:
        return None
    parts = draws._replace(y=offsets.to(draws.y.dtype).unsqueeze(-1), offset=True)
    return Maximiser.apply(pull, *parts).squeeze(-1)


class _Once(Function):
    """The first two arguments, as functions of the others that cannot be differentiated."""

    @staticmethod
    def forward(ctx: Any, in_theta: Tensor, in_sigma: Tensor, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        return in_theta.clone(), in_sigma.clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        raise RuntimeError("the perturbed maximiser can be differentiated once, its potential twice")


class Potential(Function):
    """A value with its two gradients, ``y`` in theta and ``slope`` in sigma; ``y`` may be differentiated again.

    ``offset`` is the mean of ``h(y)`` in the value, with its own derivatives, where the objective has an h.
    """

    @staticmethod
    def forward(
        ctx: Any, theta: Tensor, sigma: Tensor, value: Tensor, y: Tensor, slope: Tensor, offset: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(theta, sigma, value, y, slope, offset)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        theta, sigma, value, y, slope, offset = ctx.saved_tensors
        weight = grad_outputs[0]
        if torch.is_grad_enabled():  # create_graph: F = <theta, y> + sigma * slope + h(y) in every sample
            again = Potential.apply(theta, sigma, value, y, slope, offset) - (theta * y).flatten(1).sum(-1)
            again = again if offset is None else again - offset
            slope = slope + again / sigma - (again / sigma).detach()
        return columns(weight, y) * y, weight * slope, None, None, None, None
