"""The nodes that put the derivatives of a perturbed maximiser and of its potential into autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from structgrad.autograd import Itemwise, Once
from structgrad.layers._contractions import mean
from structgrad.layers._perturbation import TENSORS, Draws, Pulled, columns, map_items


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
