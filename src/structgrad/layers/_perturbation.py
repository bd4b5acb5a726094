"""The draws and solutions of a perturbed maximiser, and the nodes that put its derivatives into autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from structgrad.autograd import Itemwise, Once, constant
from structgrad.layers._contractions import mean
from structgrad.layers._draws import drowned
from structgrad.noise import Noise
from structgrad.parallel import map_blocks
from structgrad.polytopes.base import Polytope
from structgrad.portable import dots
from structgrad.transforms import concrete

BLOCK = 1 << 17  # scores a worker handles at once, on a CPU: they and their solutions stay in cache


class Draws(NamedTuple):
    """B items: their scores, magnitudes ``(B,)``, noise and solutions ``(B, M, *event)`` (or what is made of these).

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
        return constant(self.polytope.offset, self.y) if self.polytope.has_offset else None

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


def solutions(
    fill: Callable[[Draws], None], polytope: Polytope, theta: Tensor, sigma: Tensor, z: Tensor, mask: Tensor | None
) -> Tensor:
    """The maximisers at the perturbed scores, shaped as ``z``; ``fill`` puts those of a block into its ``y``."""
    draws = Draws(theta, sigma, z, torch.empty_like(z), mask, None, polytope)
    map_items(torch.no_grad()(lambda rows: fill(draws.rows(rows))), z)
    return draws.y


def fill_added(noise: Noise, draws: Draws) -> None:
    """Put the maximisers at ``theta + sigma z`` into ``draws.y``; in float64 where scores would drown the noise."""
    draws.y[:] = draws.polytope.argmax_perturbed(draws.theta, draws.sigma, draws.z, draws.mask)
    lost = drowned(noise, draws.theta, draws.theta.dim() - 1, draws.sigma)
    if lost is not None:
        some = draws.rows(lost)
        theta, sigma, z = (x.double() for x in some[:3])
        draws.y[lost] = some.polytope.argmax_perturbed(theta, sigma, z, some.mask).to(draws.y.dtype)


def refuse_lifted(polytope: Polytope, scores: Tensor, y: Tensor, theta: Tensor) -> None:
    """Refuse a potential where scores count as zero, some are above it, and a solution uses one of these.

    Raises:
        ValueError: there is one.
    """
    if bool(concrete((scores > 0) & (y > 0)).any()):
        raise ValueError(
            f"theta of shape {tuple(theta.shape)} has no potential over {type(polytope).__name__}: scores that noise "
            "lifts above zero count as zero; take PerturbedMultiplicative and scores below zero, or lower sigma"
        )


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
def slopes_of(z: Tensor, y: Tensor) -> Tensor:
    """The mean of ``<z, y>`` over the samples, ``(B,)``."""
    slopes = z.new_empty(len(z))

    @torch.no_grad()
    def fill(rows: slice) -> None:
        slopes[rows] = (dots(z[rows].flatten(1), y[rows].flatten(1)) / z.shape[1]).to(slopes.dtype)

    map_items(fill, z)
    return slopes


class Maximiser(Itemwise):
    """The mean of the solutions, or of values made of them, with the derivatives of its expectation."""

    @staticmethod
    def forward(pull: Callable[..., Pulled], push: Callable[..., Tensor], *draws: Any) -> Tensor:
        return mean(Draws(*draws).y)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.pull, ctx.push, *draws = inputs
        ctx.others = draws[TENSORS:]
        ctx.set_materialize_grads(False)  # the potential's first derivative sends None: there is nothing to do then
        ctx.save_for_backward(*draws[:TENSORS])
        ctx.save_for_forward(*draws[:TENSORS])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad_outputs[0] is None:
            return (None,) * 10
        pulled = _Pulled.apply(ctx.pull, ctx.needs_input_grad[2:4], grad_outputs[0], *ctx.saved_tensors, *ctx.others)
        y = ctx.saved_tensors[3]  # or values of a function that has parameters of its own
        in_y = _Shared.apply(grad_outputs[0], y) if ctx.needs_input_grad[5] else None
        return None, None, *pulled, None, in_y, *(None,) * 4

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        moved = _Pushed.apply(ctx.push, *grad_inputs[2:4], *ctx.saved_tensors, *ctx.others)
        return moved if grad_inputs[5] is None else moved + grad_inputs[5].mean(1)


class _Pulled(Once):
    refusal = "the perturbed maximiser can be differentiated once, its potential twice"

    @staticmethod
    def forward(
        pull: Callable[..., Pulled], wanted: tuple[bool, bool], direction: Tensor, *parts: Any
    ) -> tuple[Tensor, Tensor]:
        draws = Draws(*parts)
        in_theta, in_sigma = torch.zeros_like(draws.theta), torch.zeros_like(draws.sigma)

        @torch.no_grad()
        def fill(rows: slice) -> None:
            parts = pull(draws.rows(rows), direction[rows], *wanted)
            for gradient, part in zip((in_theta, in_sigma), parts, strict=True):
                if part is not None:
                    gradient[rows] = part

        map_items(fill, draws.z)
        return in_theta, in_sigma


class _Shared(Once):
    """What each of the values gets of the gradient of their mean."""

    refusal = _Pulled.refusal

    @staticmethod
    def forward(direction: Tensor, y: Tensor) -> Tensor:
        return (direction / y.shape[1]).unsqueeze(1).expand_as(y)


class _Pushed(Once):
    refusal = _Pulled.refusal

    @staticmethod
    def forward(push: Callable[..., Tensor], of_theta: Tensor | None, of_sigma: Tensor | None, *parts: Any) -> Tensor:
        draws = Draws(*parts)
        moved = torch.zeros_like(draws.y[:, 0])

        @torch.no_grad()
        def fill(rows: slice) -> None:
            moved[rows] = push(draws.rows(rows), *(None if x is None else x[rows] for x in (of_theta, of_sigma)))

        map_items(fill, draws.z)
        return moved


def offset_of(pull: Callable[..., Pulled], push: Callable[..., Tensor], draws: Draws) -> Tensor | None:
    """The mean of ``h(y)``, ``(B,)``, with the derivatives of its expectation; None where there is no h."""
    offsets = draws.offsets()
    if offsets is None:
        return None
    parts = draws._replace(y=offsets.to(draws.y.dtype).unsqueeze(-1), offset=True)
    return Maximiser.apply(pull, push, *parts).squeeze(-1)


class Potential(Itemwise):
    """A value with its two gradients, ``y`` in theta and ``slope`` in sigma; ``y`` may be differentiated again.

    ``offset`` is the mean of ``h(y)`` in the value, with its own derivatives, where the objective has an h.
    """

    @staticmethod
    def forward(theta: Tensor, sigma: Tensor, value: Tensor, y: Tensor, slope: Tensor, offset: Tensor | None) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        y, slope = Potential._gradients(*ctx.saved_tensors)
        weight = grad_outputs[0]
        return columns(weight, y) * y, weight * slope, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        y, slope = Potential._gradients(*ctx.saved_tensors)
        along = ((y * grad_inputs[0]).flatten(1).sum(-1), slope * grad_inputs[1])
        return along[0] + along[1]

    @staticmethod
    def _gradients(
        theta: Tensor, sigma: Tensor, value: Tensor, y: Tensor, slope: Tensor, offset: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        if torch.is_grad_enabled():  # create_graph: F = <theta, y> + sigma * slope + h(y) in every sample
            again = Potential.apply(theta, sigma, value, y, slope, offset) - (theta * y).flatten(1).sum(-1)
            again = again if offset is None else again - offset
            slope = slope + again / sigma - (again / sigma).detach()
        return y, slope
