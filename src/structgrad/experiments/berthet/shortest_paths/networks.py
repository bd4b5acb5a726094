"""From an image of terrain to a number per cell (docs/protocols/berthet.md, 5.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from structgrad.data.maps import SIDE


class Block(nn.Module):
    """A basic block of ResNet: two 3 x 3 convolutions, each normalised, around a shortcut (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.layers(x) + x)


class PerCell(nn.Module):
    """Layers, then the mean over channels: ``(B, 3, 96, 96)`` to ``(B, 12, 12)``."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).mean(1)


def resnet(width: int) -> nn.Module:
    """The first five layers of ResNet18: its stem, two blocks, then the maximum over each cell (Vlastelica et al.)."""
    return PerCell(
        nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1),
        Block(width), Block(width), nn.AdaptiveMaxPool2d(SIDE),
    )  # fmt: skip


def cnn(width: int) -> nn.Module:
    """The network of the authors' one released configuration: three convolutions, no normalisation.

    Even kernels see one pixel more to the right and below, as TensorFlow pads. Pooling goes before the first ReLU: the
    maximum of ReLUs is the ReLU of the maximum, of a sixteenth of the numbers.
    """
    return PerCell(
        nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(3, width, 4), nn.MaxPool2d(4), nn.ReLU(inplace=True),
        nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(width, width, 2), nn.ReLU(inplace=True), nn.AvgPool2d(2),
        nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(width, 1, 2),
    )  # fmt: skip


NETWORKS = {"resnet": resnet, "cnn": cnn}
