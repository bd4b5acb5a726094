"""ResNet18 with normalisation before each convolution (He et al. 2016b), as NeuralSort's code has it."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class Block(nn.Module):
    """``x' + conv(relu(bn(conv(relu(bn(x))))))``; the shortcut x' is x, or a 1 x 1 convolution of ``relu(bn(x))``."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.path = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        ready = self.before(x)
        return self.path(ready) + (x if self.shortcut is None else self.shortcut(ready))


class PreActResNet18(nn.Sequential):
    """A 3 x 3 stem, four stages of two blocks, and average pooling, without a last normalisation; to 512 numbers."""

    def __init__(self, channels: int) -> None:
        widths = (64, 64, 128, 256, 512)
        blocks: list[nn.Module] = []
        for stage, (inputs, outputs) in enumerate(pairwise(widths)):
            blocks += [Block(inputs, outputs, 1 if stage == 0 else 2), Block(outputs, outputs, 1)]
        stem = nn.Conv2d(channels, 64, 3, 1, 1, bias=False)
        super().__init__(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
