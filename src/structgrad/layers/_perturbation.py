"""What a perturbed maximiser drew and found, and the nodes that put its derivatives into autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from structgrad.autograd import Itemwise, Once
from structgrad.layers._contractions import mean
from structgrad.parallel import map_blocks
from structgrad.portable import dots

BLOCK = 1 << 17  # scores a worker handles at once, on a CPU: they and their solutions stay in cache


class Draws(NamedTuple):
    """B items: their scores, magnitudes ``(B,)``, noise and solutions ``(B, M, *event)``.

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
def slopes_of(z: Tensor, y: Tensor) -> Tensor:
    """The mean of ``<z, y>`` over the samples, ``(B,)``."""
    slopes = z.new_empty(len(z))

    @torch.no_grad()
    def fill(rows: slice) -> None:
        slopes[rows] = (dots(z[rows].flatten(1), y[rows].flatten(1)) / z.shape[1]).to(slopes.dtype)

    map_items(fill, z)
    return slopes


class Maximiser(Itemwise):
    """The mean of the solutions, with the derivatives of its expectation."""

    @staticmethod
    def forward(pull: Callable[..., Pulled], push: Callable[..., Tensor], *draws: Tensor | None) -> Tensor:
        return mean(Draws(*draws).y)  # type: ignore[arg-type]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.pull, ctx.push, *draws = inputs
        ctx.set_materialize_grads(False)  # the potential's first derivative sends None: there is nothing to do then
        ctx.save_for_backward(*draws)
        ctx.save_for_forward(*draws)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad_outputs[0] is None:
            return (None,) * 8
        pulled = _Pulled.apply(ctx.pull, ctx.needs_input_grad[2:4], grad_outputs[0], *ctx.saved_tensors)
        return None, None, *pulled, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        return _Pushed.apply(ctx.push, *grad_inputs[2:4], *ctx.saved_tensors)


class _Pulled(Once):
    refusal = "the perturbed maximiser can be differentiated once, its potential twice"

    @staticmethod
    def forward(
        pull: Callable[..., Pulled], wanted: tuple[bool, bool], direction: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, Tensor]:
        draws = Draws(*tensors)
        in_theta, in_sigma = torch.zeros_like(draws.theta), torch.zeros_like(draws.sigma)

        @torch.no_grad()
        def fill(rows: slice) -> None:
            parts = pull(draws.rows(rows), direction[rows], *wanted)
            for found, part in zip((in_theta, in_sigma), parts, strict=True):
                if part is not None:
                    found[rows] = part

        map_items(fill, draws.z)
        return in_theta, in_sigma


class _Pushed(Once):
    refusal = _Pulled.refusal

    @staticmethod
    def forward(
        push: Callable[..., Tensor], of_theta: Tensor | None, of_sigma: Tensor | None, *tensors: Tensor
    ) -> Tensor:
        draws = Draws(*tensors)
        moved = torch.zeros_like(draws.theta)

        @torch.no_grad()
        def fill(rows: slice) -> None:
            moved[rows] = push(draws.rows(rows), *(None if x is None else x[rows] for x in (of_theta, of_sigma)))

        map_items(fill, draws.z)
        return moved


class Potential(Itemwise):
    """A value with its two gradients, ``y`` in theta and ``slope`` in sigma; ``y`` may be differentiated again."""

    @staticmethod
    def forward(theta: Tensor, sigma: Tensor, value: Tensor, y: Tensor, slope: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        y, slope = Potential._gradients(*ctx.saved_tensors)
        weight = grad_outputs[0]
        return columns(weight, y) * y, weight * slope, None, None, None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        y, slope = Potential._gradients(*ctx.saved_tensors)
        along = ((y * grad_inputs[0]).flatten(1).sum(-1), slope * grad_inputs[1])
        return along[0] + along[1]

    @staticmethod
    def _gradients(theta: Tensor, sigma: Tensor, value: Tensor, y: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        if torch.is_grad_enabled():  # create_graph: F is homogeneous, F = <theta, y> + sigma * slope in every sample
            again = Potential.apply(theta, sigma, value, y, slope) - (theta * y).flatten(1).sum(-1)
            slope = slope + again / sigma - (again / sigma).detach()
        return y, slope
