"""The NRI decoder: where vertices are a step later, by messages over weighted edges of two types.

(docs/protocols/paulus.md, 1.3.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from structgrad.experiments.paulus.graph_layout.layers import default_linear
from structgrad.experiments.paulus.graph_layout.messages import messages

TYPES = 2  # no edge, edge: both send messages


class Decoder(nn.Module):
    """``x + MLP([x, m])`` with messages ``m`` of a two-layer network for each type of edge."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        first = [default_linear(4, width, generator) for _ in range(TYPES)]
        second = [default_linear(width, width, generator) for _ in range(TYPES)]
        self.first_weight, self.first_bias = _stacked(first)
        self.second_weight, self.second_bias = _stacked(second)
        self.out = nn.Sequential(
            default_linear(2 + width, width, generator),
            nn.ReLU(),
            default_linear(width, width, generator),
            nn.ReLU(),
            default_linear(width, 2, generator),
        )

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """The next positions of ``x`` ``(G, n, 2)`` under edge weights ``(G, n (n - 1), 2)``."""
        incoming = messages(self._halves(x), weight, self.second_weight, self.second_bias)
        return x + self.out(torch.cat([x, incoming], -1))

    def _halves(self, x: Tensor) -> Tensor:
        """The first layers' parts for the sender and, with the bias, for the receiver: ``(G, n, types, 2, width)``."""
        weight = self.first_weight.unflatten(2, (2, 2)).transpose(1, 2)  # (types, half, width, coordinate)
        bias = torch.stack([torch.zeros_like(self.first_bias), self.first_bias], 1)
        return nn.functional.linear(x, weight.flatten(0, 2), bias.flatten()).view(*x.shape[:2], *bias.shape)


def _stacked(layers: list[nn.Linear]) -> tuple[nn.Parameter, nn.Parameter]:
    """Weights ``(types, outputs, inputs)`` and biases ``(types, outputs)``."""
    weight, bias = (torch.stack([getattr(layer, name).detach() for layer in layers]) for name in ("weight", "bias"))
    return nn.Parameter(weight), nn.Parameter(bias)


def rollout(decoder: Decoder, frames: Tensor, weight: Tensor, steps: int) -> Tensor:
    """Predictions ``(B, n, T - 1, 2)`` of all frames ``(B, n, T, 2)`` but the first.

    From every ``steps``-th true frame so many steps are predicted, each from the one before: ``steps = 1`` is teacher
    forcing. What goes beyond the last frame is dropped.
    """
    batch, n, count = frames.shape[:3]
    starts = frames[:, :, : count - 1 : steps].transpose(1, 2)
    x = starts.reshape(-1, n, 2)
    weights = weight.unsqueeze(1).expand(-1, starts.shape[1], -1, -1).reshape(len(x), -1, TYPES)
    predicted = []
    for _ in range(steps):
        x = decoder(x, weights)
        predicted.append(x.view(batch, -1, n, 2))
    return torch.stack(predicted, 2).flatten(1, 2)[:, : count - 1].transpose(1, 2)
