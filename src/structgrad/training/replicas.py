"""Replicas as a batch dimension: the parameters of R models in one tensor, trained side by side.

Every replica's numbers are the same, to the bit, whichever others share the batch and on whichever processor: products
and sums go through :mod:`structgrad.portable`, whose order follows from the shapes of one replica alone. Tests hold
every experiment to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod, sqrt
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from structgrad.portable import column_sums, product
from structgrad.training.state import Stateful


class Parameters(Stateful):
    """Named parameters of R replicas in one leaf tensor ``flat`` (R, P), for optimisers that work elementwise.

    Args:
        shapes: the shape of each parameter without the replica dimension.
        replicas: R.
    """

    def __init__(self, shapes: Mapping[str, Sequence[int]], replicas: int, device: str = "cpu") -> None:
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self.offsets, total = {}, 0
        for name, shape in self.shapes.items():
            self.offsets[name] = total
            total += prod(shape)
        self.flat = torch.zeros(replicas, total, device=device, requires_grad=True)

    def __getitem__(self, name: str) -> Tensor:
        """The parameter of every replica, ``(R, *shape)``: a view that carries gradients."""
        shape, start = self.shapes[name], self.offsets[name]
        return self.flat[:, start : start + prod(shape)].view(-1, *shape)

    def fill(self, replica: int, name: str, value: Tensor) -> None:
        """Set one replica's parameter; a ``value`` with fewer rows leaves the others zero."""
        with torch.no_grad():
            target = self[name][replica]
            target[tuple(slice(0, size) for size in value.shape)] = value.to(target.device)

    def state(self) -> dict[str, Any]:
        return {"flat": self.flat.detach()}

    def restore(self, state: dict[str, Any]) -> None:
        self.flat.data.copy_(state["flat"])  # in place: it may be on another device than what was saved

    def select(self, rows: Tensor | slice) -> Parameters:
        """A copy that holds some replicas only, without gradient."""
        chosen = Parameters(self.shapes, 0)
        chosen.flat = self.flat.detach()[rows]
        return chosen

    def keep(self, mask: Tensor) -> None:
        """Drop the replicas outside ``mask`` (R,) for good."""
        self.flat = self.flat.detach()[mask].clone().requires_grad_()


def linear_shapes(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, int]]:
    """The parameters of a linear layer, its bias as a last row: ``(inputs + 1, outputs)``."""
    return {name: (inputs + 1, outputs)}


def uniform(shape: Sequence[int], bound: float, generator: torch.Generator) -> Tensor:
    """Uniform within ``bound`` of zero, as ``uniform_`` has it where the processor does not fuse its two operations."""
    return torch.rand(tuple(shape), generator=generator) * (2 * bound) - bound


def default_linear(inputs: int, outputs: int, generator: torch.Generator) -> Tensor:
    """torch's default initialisation of ``nn.Linear``: weights and bias uniform within ``1 / sqrt(inputs)``."""
    return uniform((inputs + 1, outputs), 1.0 / sqrt(inputs), generator)


def linear(x: Tensor, weight: Tensor, bias: bool = True) -> Tensor:
    """``x W + b`` for every replica, differentiable once.

    Args:
        x: ``(R, items, inputs)``.
        weight: ``(R, inputs + 1, outputs)``, the bias its last row.
        bias: whether it is added; without, its gradient is zero.

    Returns:
        ``(R, items, outputs)``.
    """
    return _Linear.apply(x, weight, bias)


class _Linear(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.bias = bias
        scores = product(x, weight[:, :-1])
        return scores.add_(weight[:, -1:]) if bias else scores

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor, None]:
        (x, weight), gradient = ctx.saved_tensors, grad_outputs[0]
        of_bias = column_sums(gradient) if ctx.bias else torch.zeros_like(weight[:, -1])
        in_weight = torch.cat([product(x.mT, gradient), of_bias.unsqueeze(1)], 1)
        in_x = product(gradient, weight[:, :-1].mT) if ctx.needs_input_grad[0] else None
        return in_x, in_weight, None
