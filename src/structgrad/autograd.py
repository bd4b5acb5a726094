"""Nodes for autograd, in the form that ``torch.func`` transforms, and values whose gradient is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import unwrap_if_dead
from torch.autograd import Function
from torch.utils._pytree import tree_map

from structgrad.transforms import active, check_order


class Node(Function):
    """A function with ``setup_context``: ``forward`` sees bare numbers whatever the transforms around.

    Kernels are called there and nowhere else; ``backward`` and ``jvp`` consist of torch operations and other nodes,
    since under ``torch.func`` what they get is wrapped.
    """

    @classmethod
    def apply(cls, *args: Any) -> Any:
        if active():
            check_order()
            return super().apply(*args)
        # what Function.apply does, save that it looks up the signature of forward, for longer than all else takes
        return super(Function, cls).apply(*(_bare(x) if isinstance(x, Tensor) else x for x in args))  # type: ignore[misc]


def _bare(value: Tensor) -> Tensor:
    """The tensor itself, out of a transform that has ended, and in memory if it is forward mode's zeros."""
    value = unwrap_if_dead(value)
    return torch.zeros(value.shape, dtype=value.dtype, device=value.device) if value._is_zerotensor() else value


class Itemwise(Node):
    """A node all of whose tensors hold one item per index of their first dimension.

    What ``torch.func.vmap`` maps are more items: they go through ``forward`` at once.
    """

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Any, Any]:  # type: ignore[override]
        size = info.batch_size

        def merged(value: Any, place: int | None) -> Any:
            if not isinstance(value, Tensor):
                return value
            return (value.expand(size, *value.shape) if place is None else value.movedim(place, 0)).flatten(0, 1)

        outputs = cls.apply(*map(merged, args, in_dims))
        return tree_map(lambda x: x.view(size, len(x) // size, *x.shape[1:]), outputs), tree_map(lambda _: 0, outputs)


def one_by_one(cls: type[Function], info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[Tensor, int]:
    """A vmap rule for nodes whose tensors hold items in any number of dimensions: one call for each that is mapped."""
    pairs = list(zip(args, in_dims, strict=True))
    calls = ([x if dim is None else x.select(dim, i) for x, dim in pairs] for i in range(info.batch_size))
    return torch.stack([cls.apply(*call) for call in calls]), 0


class Once(Itemwise):
    """A derivative that cannot be differentiated again, as ``refusal`` says; subclasses define ``forward``."""

    refusal: str

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.set_materialize_grads(False)  # a first derivative may send None: there is nothing to do then
        ctx.inputs = len(inputs)

    @classmethod
    def backward(cls, ctx: Any, *grad_outputs: Any) -> Any:  # type: ignore[override]
        if all(direction is None for direction in grad_outputs):
            return (None,) * ctx.inputs
        raise RuntimeError(cls.refusal)

    @classmethod
    def jvp(cls, ctx: Any, *grad_inputs: Any) -> Any:  # type: ignore[override]
        raise RuntimeError(cls.refusal)


def constant(function: Callable[..., Any], *inputs: Tensor | None, rank: int | None = None) -> Any:
    """``function(*inputs)``, without derivative, of bare numbers whatever the transforms around.

    Inputs and results hold one item per index of their first dimension, or have, all of them, the same shape
    ``(..., *event)`` with an event of ``rank`` dimensions.
    """
    if not active():
        return function(*inputs)
    if rank is None:
        return _Constant.apply(function, *inputs)
    shape = next(x.shape for x in inputs if x is not None)
    event = shape[len(shape) - rank :]
    return _Constant.apply(function, *(None if x is None else x.reshape(-1, *event) for x in inputs)).view(shape)


class _Constant(Itemwise):
    @staticmethod
    def forward(function: Callable[..., Any], *inputs: Tensor | None) -> Any:
        with torch.no_grad():
            return function(*inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.mark_non_differentiable(*(output if isinstance(output, tuple) else (output,)))
        ctx.inputs, ctx.outputs = len(inputs), len(output) if isinstance(output, tuple) else None

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[None, ...]:
        return (None,) * ctx.inputs

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Tensor | None) -> Any:
        return None if ctx.outputs is None else (None,) * ctx.outputs


def envelope(value: Tensor, theta: Tensor, gradient: Tensor) -> Tensor:
    """``value`` ``(...)`` with ``gradient`` ``(..., *event)`` as its derivative in ``theta`` ``(..., *event)``.

    Danskin's theorem as an autograd node: the gradient that arrives is exactly ``gradient``, bit for bit. Where
    ``gradient`` itself depends on ``theta``, a second derivative goes through it, once.
    """
    return _Envelope.apply(value.detach(), theta, gradient)


class _Envelope(Node):
    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, theta: Tensor, gradient: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        gradient = inputs[2]
        ctx.save_for_backward(gradient)
        ctx.save_for_forward(gradient)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[None, Tensor, None]:
        (gradient,) = ctx.saved_tensors
        weight = grad_outputs[0]
        return None, weight.view(*weight.shape, *(1,) * (gradient.dim() - weight.dim())) * gradient, None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        ((gradient,), (value, theta, _)) = ctx.saved_tensors, grad_inputs
        event = tuple(range(value.dim(), gradient.dim()))
        return (theta * gradient).sum(event) if event else theta * gradient  # of no dimensions torch sums all
