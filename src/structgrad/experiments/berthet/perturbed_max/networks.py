"""The "vanilla CNN": four convolutions and two dense layers to ten scores (docs/protocols/berthet.md, 4.2)."""

from __future__ import annotations

from math import sqrt

import torch
from torch import nn

from structgrad.data.images import CLASSES


def vanilla_cnn(width: int, channels: int, side: int) -> nn.Sequential:
    """From ``(B, channels, side, side)`` to ``(B, 10)``.

    Pooling goes before the ReLU: the maximum of ReLUs is the ReLU of the maximum, of a quarter of the numbers.
    """
    left = ((side - 2) // 2 - 2) // 2  # pixels along a side after both poolings
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3), nn.MaxPool2d(2), nn.ReLU(inplace=True),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(inplace=True),
        nn.Conv2d(2 * width, 2 * width, 3), nn.MaxPool2d(2), nn.ReLU(inplace=True),
        nn.Flatten(), nn.Linear(2 * width * left**2, 16 * width), nn.ReLU(inplace=True), nn.Linear(16 * width, CLASSES),
    )  # fmt: skip


@torch.no_grad()
def glorot(network: nn.Module, generator: torch.Generator) -> None:
    """Weights uniform within ``sqrt(6 / (inputs + outputs))``, biases zero: what the authors' framework does."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            area = module.weight[0, 0].numel()
            bound = sqrt(6 / (area * sum(module.weight.shape[:2])))
            module.weight.uniform_(-bound, bound, generator=generator)
            assert module.bias is not None
            module.bias.zero_()
