"""Linear layers as the authors' networks start them, drawn from an explicit generator."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, linear

from structgrad.experiments.paulus.graph_layout.pairs import directed


def default_linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """PyTorch's default start: uniform within ``1 / sqrt(inputs)``."""
    layer = nn.Linear(inputs, outputs)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -1 / sqrt(inputs), 1 / sqrt(inputs), generator)
    return layer


def xavier_linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """Xavier-normal weights, bias 0.1."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_normal_(layer.weight, generator=generator)
    nn.init.constant_(layer.bias, 0.1)
    return layer


class Block(nn.Module):
    """Linear, ELU, linear, ELU, batch normalisation over graphs and items: the MLP of the NRI encoder."""

    def __init__(self, inputs: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = xavier_linear(inputs, width, generator)
        self.second = xavier_linear(width, width, generator)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, items, inputs)`` to ``(B, items, width)``."""
        return self.after(self.first(x))

    def of_pairs(self, vertices: Tensor, edges: Tensor | None = None) -> Tensor:
        """What :meth:`forward` makes of ``[sender, receiver, edge]`` for all directed edges, without writing them down.

        ``vertices`` are ``(B, n, v)``, ``edges`` ``(B, n (n - 1), e)``: the first layer is a sum of one on each part.
        """
        senders, receivers = (index.to(vertices.device) for index in directed(vertices.shape[1]))
        v = vertices.shape[-1]
        of_sender, of_receiver, of_edge = self.first.weight.split([v, v, self.first.in_features - 2 * v], 1)
        total = linear(vertices, of_sender).index_select(1, senders)
        total = total + linear(vertices, of_receiver, self.first.bias).index_select(1, receivers)
        return self.after(total if edges is None else total + linear(edges, of_edge))

    def after(self, x: Tensor) -> Tensor:
        """The rest behind the first layer."""
        x = elu(self.second(elu(x)))
        return self.norm(x.flatten(0, 1)).view(x.shape)
