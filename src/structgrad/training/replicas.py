"""Replicas as a batch dimension: the parameters of R models in one tensor, trained side by side.

Every replica's numbers are the same, to the bit, whichever others share the batch. On a CPU that takes care: a
vector loop's left-over elements go through scalar code that rounds otherwise, and a matrix product may depend on how
its operands are aligned. So each replica's block, and each parameter in it, starts at a multiple of 32 floats, and
columns are padded to whole vectors (:func:`linear`). A test holds every experiment to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod, sqrt
from typing import Any

import torch
from torch import Tensor

LANES = 32  # floats: what the vector loops take in one step (two AVX-512 registers)


def padded(count: int) -> int:
    """``count`` rounded up to whole vectors."""
    return count + -count % LANES


class Parameters:
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
            total += padded(prod(shape))
        self.flat = torch.zeros(replicas, total, device=device, requires_grad=True)

    def __getitem__(self, name: str) -> Tensor:
        """The parameter of every replica, ``(R, *shape)``: a view that carries gradients."""
        shape, start = self.shapes[name], self.offsets[name]
        return self.flat[:, start : start + prod(shape)].view(-1, *shape)

    def fill(self, replica: int, name: str, value: Tensor) -> None:
        """Set one replica's parameter; a ``value`` with fewer columns leaves the padding zero."""
        with torch.no_grad():
            target = self[name][replica]
            target[tuple(slice(0, size) for size in value.shape)] = value.to(target.device)

    def select(self, rows: Tensor | slice) -> Parameters:
        """A copy that holds some replicas only, without gradient."""
        chosen = Parameters(self.shapes, 0)
        chosen.flat = self.flat.detach()[rows]
        return chosen

    def keep(self, mask: Tensor) -> None:
        """Drop the replicas outside ``mask`` (R,) for good."""
        self.flat = self.flat.detach()[mask].clone().requires_grad_()


def linear_shapes(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, int]]:
    """The parameters of a linear layer, its bias as a last row: ``(inputs + 1, padded outputs)``."""
    return {name: (inputs + 1, padded(outputs))}


def default_linear(inputs: int, outputs: int, generator: torch.Generator) -> Tensor:
    """torch's default initialisation of ``nn.Linear``: weights and bias uniform within ``1 / sqrt(inputs)``."""
    bound = 1.0 / sqrt(inputs)
    return torch.empty(inputs + 1, outputs).uniform_(-bound, bound, generator=generator)


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """``x W + b`` for every replica.

    Args:
        x: ``(R, items, inputs)``.
        weight: ``(R, inputs + 1, padded outputs)``, the bias its last row.

    Returns:
        ``(R, items, padded outputs)``: the caller slices the columns after any nonlinearity.
    """
    return x @ weight[:, :-1] + weight[:, -1:]


def keep_state(optimizer: torch.optim.Optimizer, parameters: Parameters, mask: Tensor) -> None:
    """Drop replicas from ``parameters`` and from the optimiser that trains them."""
    old = parameters.flat
    parameters.keep(mask)
    state = optimizer.state.pop(old, {})
    if state:
        optimizer.state[parameters.flat] = {
            key: value[mask].clone() if _per_replica(value, old) else value for key, value in state.items()
        }
    optimizer.param_groups[0]["params"] = [parameters.flat]


def _per_replica(value: Any, flat: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == flat.shape
