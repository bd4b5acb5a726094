"""The two small networks: mu scores each number for each position, sigma sizes the noise of a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor

from structgrad.portable import softplus
from structgrad.training.replicas import Parameters, default_linear, linear, linear_shapes, uniform


def glorot_linear(inputs: int, outputs: int, generator: torch.Generator) -> Tensor:
    """Glorot's initialisation: weights uniform within ``sqrt(6 / (inputs + outputs))``, a bias of zero."""
    weights = uniform((inputs, outputs), sqrt(6 / (inputs + outputs)), generator)
    return torch.cat([weights, torch.zeros(1, outputs)])


INITIAL = {"torch": default_linear, "glorot": glorot_linear}


class MeanScores:
    """``mu(x)_ij = (W2 relu(W1 x_i + b1) + b2)_j``: linear 1-h, ReLU, linear h-d, on each number by itself."""

    def __init__(
        self, d: int, hidden: int, generators: Sequence[torch.Generator], device: str = "cpu", weights: str = "torch"
    ) -> None:
        self.d, self.hidden, initial = d, hidden, INITIAL[weights]
        shapes = linear_shapes("first", 1, hidden) | linear_shapes("second", hidden, d)
        self.parameters = Parameters(shapes, len(generators), device)
        for replica, generator in enumerate(generators):
            self.parameters.fill(replica, "first", initial(1, hidden, generator))
            self.parameters.fill(replica, "second", initial(hidden, d, generator))

    def __call__(self, x: Tensor, parameters: Parameters | None = None) -> Tensor:
        """Scores ``(R, n, d, d)`` of sequences ``(R, n, d)``: row i is element x_i, column j sorted position j.

        ``parameters`` stands in for the network's own where only some replicas are asked.
        """
        used = self.parameters if parameters is None else parameters
        replicas, n, d = x.shape
        hidden = torch.relu(linear(x.reshape(replicas, n * d, 1), used["first"]))
        return linear(hidden, used["second"]).view(replicas, n, d, d)


class NoiseMagnitude:
    """``sigma(x) = softplus(w x + b)``: one number a sequence, shared by all its scores and perturbations."""

    def __init__(self, d: int, generators: Sequence[torch.Generator], device: str = "cpu") -> None:
        self.parameters = Parameters(linear_shapes("only", d, 1), len(generators), device)
        for replica, generator in enumerate(generators):
            self.parameters.fill(replica, "only", default_linear(d, 1, generator))

    def __call__(self, x: Tensor) -> Tensor:
        """Magnitudes ``(R, n)`` of sequences ``(R, n, d)``."""
        return softplus(linear(x, self.parameters["only"]))[..., 0]
