"""Adam for the parameters of many replicas: one pass over each tensor, the same bits on every processor.

torch's optimisers take square roots and multiply-adds as the processor offers them. This one rounds every operation by
itself, as :mod:`structgrad.portable` explains.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from structgrad.portable.types import compiled
from structgrad.training.replicas import Parameters
from structgrad.training.state import Stateful

BETAS = 0.9, 0.999
EPSILON = 1e-8


class Adam(Stateful):
    r"""``w -= rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + 1e-8)`` with moments ``m`` and ``v`` of the gradients.

    Kingma & Ba (2015), Algorithm 1, with its constants; each :class:`Parameters` has a learning rate of its own.
    """

    kept = ("models", "first", "second", "decays")

    def __init__(self, models: Sequence[Parameters], rates: Sequence[float]) -> None:
        self.models, self.rates = list(models), list(rates)
        self.first = [torch.zeros_like(model.flat, requires_grad=False) for model in models]
        self.second = [torch.zeros_like(model.flat, requires_grad=False) for model in models]
        self.decays = [1.0, 1.0]  # b1^t and b2^t; products, since a library's power may round otherwise elsewhere

    def clear(self) -> None:
        """Forget the gradients."""
        for model in self.models:
            model.flat.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One update of every parameter from its ``grad``."""
        self.decays = [decay * beta for decay, beta in zip(self.decays, BETAS, strict=True)]
        unbiased = sqrt(1 - self.decays[1])
        for model, rate, first, second in zip(self.models, self.rates, self.first, self.second, strict=True):
            gradient = model.flat.grad
            assert gradient is not None
            size = rate / (1 - self.decays[0])
            if compiled(model.flat):
                real = first.numpy().dtype.type
                constants = (real(c) for c in (BETAS[0], 1 - BETAS[0], BETAS[1], 1 - BETAS[1], size, unbiased, EPSILON))
                arrays = (tensor.detach().view(-1).numpy() for tensor in (model.flat, first, second))
                kernel: Any = _step
                kernel(*arrays, gradient.reshape(-1).numpy(), *constants)
            else:
                first.mul_(BETAS[0]).add_(gradient * (1 - BETAS[0]))
                second.mul_(BETAS[1]).add_(gradient * gradient * (1 - BETAS[1]))
                model.flat.sub_(first * size / (second.sqrt() / unbiased + EPSILON))

    def keep(self, mask: Tensor) -> None:
        """Drop the replicas outside ``mask`` (R,) from parameters and moments."""
        for model in self.models:
            model.keep(mask)
        self.first, self.second = ([moment[mask] for moment in moments] for moments in (self.first, self.second))


@njit(cache=True, nogil=True, error_model="numpy")
def _step(weights, first, second, gradient, keep_1, add_1, keep_2, add_2, size, unbiased, epsilon):
    for i in range(len(weights)):
        g = gradient[i]
        m = first[i] * keep_1 + g * add_1
        v = second[i] * keep_2 + (g * g) * add_2
        first[i], second[i] = m, v
        weights[i] -= size * m / (np.sqrt(v) / unbiased + epsilon)
