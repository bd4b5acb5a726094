"""One small network per trial, all of a shape, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import expm1, log

import torch
from torch import Tensor

from structgrad.portable import softplus
from structgrad.training.replicas import Parameters, default_linear, linear, linear_shapes
from structgrad.training.state import Stateful


class Networks(Stateful):
    """``W_L relu(... relu(W_1 x + b_1) ...) + b_L`` of R trials, and of each the magnitude of its noise.

    A trial's parameters are a leaf of their own, since each has a learning rate of its own. Initial weights are torch's
    default; the magnitude is ``softplus(m)`` of a number m, so that it stays positive whatever it learns.

    Args:
        widths: of the input, the hidden layers and the output.
        magnitudes: at first, one per trial.
        generators: of the initial weights, one per trial.
    """

    kept = ("models",)

    def __init__(
        self, widths: Sequence[int], magnitudes: Sequence[float], generators: Sequence[torch.Generator]
    ) -> None:
        self.layers = {f"layer_{place}": sizes for place, sizes in enumerate(pairwise(widths))}
        shapes: dict[str, tuple[int, ...]] = {"magnitude": (1,)}
        for name, sizes in self.layers.items():
            shapes |= linear_shapes(name, *sizes)
        self.models = [Parameters(shapes, 1) for _ in generators]
        for model, magnitude, generator in zip(self.models, magnitudes, generators, strict=True):
            model.fill(0, "magnitude", torch.tensor([log(expm1(magnitude))]))
            for name, sizes in self.layers.items():
                model.fill(0, name, default_linear(*sizes, generator))

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs ``(R, items, outputs)`` for inputs ``(R, items, inputs)``, or ``(1, ...)`` that all trials share."""
        for name in self.layers:
            x = linear(x.expand(len(self.models), -1, -1), self._each(name))
            if name != list(self.layers)[-1]:
                x = torch.relu(x)
        return x

    def magnitudes(self) -> Tensor:
        """Of the noise, ``(R, 1)``."""
        return softplus(self._each("magnitude"))

    def _each(self, name: str) -> Tensor:
        return torch.cat([model[name] for model in self.models])
