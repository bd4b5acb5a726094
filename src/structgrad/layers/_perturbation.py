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
    """B items: their scores, magnitudes ``(B,)``, noise and solutions ``(B, M, *event)`` (or what is made of these).

    ``mask`` is the polytope's; ``active`` marks the coordinates whose noise matters; both ``(B, 1, *event)`` or None.
    """

    theta: Tensor
    sigma: Tensor
    z: Tensor
    y: Tensor
    mask: Tensor | None
    active: Tensor | None

    def rows(self, rows: slice) -> Draws:
        return Draws(*(None if part is None else part[rows] for part in self))  # type: ignore[arg-type]


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


def fill_added(polytope: Polytope, noise: Noise, draws: Draws) -> None:
    """Put the maximisers at ``theta + sigma z`` into ``draws.y``; in float64 where scores would drown the noise."""
    draws.y[:] = polytope.argmax_perturbed(draws.theta, draws.sigma, draws.z, draws.mask)
    lost = drowned(noise, draws.theta, len(polytope.event_shape), draws.sigma)
    if lost is not None:
        theta, sigma, z = (x[lost].double() for x in (draws.theta, draws.sigma, draws.z))
        mask = None if draws.mask is None else draws.mask[lost]
        draws.y[lost] = polytope.argmax_perturbed(theta, sigma, z, mask).to(draws.y.dtype)


def refuse_lifted(polytope: Polytope, scores: Tensor, y: Tensor, theta: Tensor) -> None:
    """Refuse a potential where scores count as zero, some are above it, and a solution uses one of these.

    Raises:
        ValueError: there is one.
    """
    if bool(((scores > 0) & (y > 0)).any()):
        raise ValueError(
            f"theta of shape {tuple(theta.shape)} has no potential over {type(polytope).__name__}: scores that noise "
            "lifts above zero count as zero; take PerturbedMultiplicative and scores below zero, or lower sigma"
        )


@torch.no_grad()
def maxima_of(draws: Draws) -> Tensor:
    """``<theta + sigma z, y>``, ``(B, M)`` float64."""
    maxima = draws.z.new_empty(draws.z.shape[:2], dtype=torch.float64)

    @torch.no_grad()
    def fill(rows: slice) -> None:
        theta, sigma, z, y, *_ = draws.rows(rows)
        noise = dots(z.flatten(2), y.flatten(2))
        maxima[rows] = dots(theta.unsqueeze(1).expand_as(y).flatten(2), y.flatten(2)) + columns(sigma, noise) * noise

    map_items(fill, draws.z)
    return maxima


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
    """The mean of the solutions, or of values made of them, with the derivatives of its expectation."""

    @staticmethod
    def forward(ctx: Any, pull: Callable[..., Pulled], *draws: Tensor | None) -> Tensor:
        ctx.pull = pull
        ctx.set_materialize_grads(False)  # the potential's first derivative sends None: there is nothing to do then
        ctx.save_for_backward(*draws)
        return mean(Draws(*draws).y)  # type: ignore[arg-type]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        draws, direction = Draws(*ctx.saved_tensors), grad_outputs[0]
        if direction is None:
            return (None,) * 7
        wanted = ctx.needs_input_grad[1:3]
        in_theta, in_sigma = torch.zeros_like(draws.theta), torch.zeros_like(draws.sigma)

        @torch.no_grad()
        def fill(rows: slice) -> None:
            parts = ctx.pull(draws.rows(rows), direction[rows], *wanted)
            for found, part in zip((in_theta, in_sigma), parts, strict=True):
                if part is not None:
                    found[rows] = part

        map_items(fill, draws.z)
        found = in_theta, in_sigma
        if ctx.needs_input_grad[4]:  # values of a function that has parameters of its own
            found = *found, (direction / draws.y.shape[1]).unsqueeze(1).expand_as(draws.y)
        if torch.is_grad_enabled():  # create_graph: what follows would silently lack these terms
            found = once(found, draws.theta, draws.sigma, direction)
        in_theta, in_sigma, *in_y = found
        return None, in_theta, in_sigma, None, *(in_y or [None]), None, None


def once(found: tuple[Tensor, ...], *inputs: Tensor) -> tuple[Tensor, ...]:
    """What was found, as functions of the inputs that cannot be differentiated."""
    return _Once.apply(len(found), *found, *inputs)


class _Once(Function):
    @staticmethod
    def forward(ctx: Any, count: int, *found_and_inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.arguments = 1 + len(found_and_inputs)
        ctx.set_materialize_grads(False)  # a first derivative sends None
        return tuple(part.clone() for part in found_and_inputs[:count])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        if all(direction is None for direction in grad_outputs):
            return (None,) * ctx.arguments
        raise RuntimeError("the perturbed maximiser can be differentiated once, its potential twice")


class Potential(Function):
    """A value with its two gradients, ``y`` in theta and ``slope`` in sigma; ``y`` may be differentiated again."""

    @staticmethod
    def forward(ctx: Any, theta: Tensor, sigma: Tensor, value: Tensor, y: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(theta, sigma, value, y, slope)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        theta, sigma, value, y, slope = ctx.saved_tensors
        weight = grad_outputs[0]
        if torch.is_grad_enabled():  # create_graph: F is homogeneous, F = <theta, y> + sigma * slope in every sample
            again = Potential.apply(theta, sigma, value, y, slope) - (theta * y).flatten(1).sum(-1)
            slope = slope + again / sigma - (again / sigma).detach()
        return columns(weight, y) * y, weight * slope, None, None, None
