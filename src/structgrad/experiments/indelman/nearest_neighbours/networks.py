"""The networks: an embedding of images, and the magnitude of the noise (docs/protocols/indelman.md, 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from structgrad.data.images import CLASSES
from structgrad.experiments.indelman.nearest_neighbours.preactivation import PreActResNet18

BATCHED = nn.BatchNorm2d  # a layer through which the images of a batch see one another


def stack(channels: int) -> list[nn.Module]:
    """Two convolutions of the ConvNet, each with a ReLU and pooling, on 28 x 28: to 800 numbers.

    Pooling goes first: the maximum of ReLUs is the ReLU of the maximum, of a quarter of the numbers.
    """
    return [
        nn.Conv2d(channels, 20, 5), nn.MaxPool2d(2), nn.ReLU(inplace=True),
        nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.ReLU(inplace=True), nn.Flatten(),
    ]  # fmt: skip


def conv_net(channels: int) -> nn.Module:
    """The ConvNet of MNIST: to 500 numbers, through a ReLU (Grover et al. 2019's code)."""
    return nn.Sequential(*stack(channels), nn.Linear(800, 500), nn.ReLU(inplace=True))


def resnet18(channels: int) -> nn.Module:
    """ResNet18 for small images, to 512 numbers: a 3 x 3 stem and no pooling behind it (kuangliu/pytorch-cifar)."""
    from torchvision.models import resnet18 as for_large_images

    network = for_large_images()
    network.conv1 = nn.Conv2d(channels, 64, 3, 1, 1, bias=False)
    network.register_module("maxpool", nn.Identity())
    network.register_module("fc", nn.Identity())
    return network


EMBEDDINGS = {"convnet": conv_net, "resnet18": resnet18, "preact_resnet18": PreActResNet18}


def sigma_net(channels: int) -> nn.Module:
    """The noise magnitude ``(B, 1)`` of each query: on gray images the ConvNet's stack, on colour one convolution."""
    if channels == 1:
        return nn.Sequential(*stack(1), nn.Linear(800, 500), nn.ReLU(inplace=True), nn.Linear(500, 1), nn.Softplus())
    return nn.Sequential(
        nn.Conv2d(channels, 20, 5),
        nn.MaxPool2d(2),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(3920, 1),
        nn.Softplus(),
    )


class Network(nn.Module):
    """What an arm learns: the embedding, and of some arms the noise magnitude or a linear classifier on top.

    Args:
        embedding: a name of :data:`EMBEDDINGS`.
        channels: of the images.
        sigma: whether the magnitude of the noise is learned.
        classifier: whether there is a linear layer to the classes.
    """

    def __init__(self, embedding: str, channels: int, sigma: bool = False, classifier: bool = False) -> None:
        super().__init__()
        self.embedding = EMBEDDINGS[embedding](channels)
        self.sigma = sigma_net(channels) if sigma else None
        self.classifier = nn.Linear(width_of(embedding), CLASSES) if classifier else None

    @property
    def separate(self) -> bool:
        """Whether an image's embedding depends on that image alone, also in training."""
        return not any(isinstance(module, BATCHED) for module in self.embedding.modules())

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings ``(B, D)`` float32."""
        return self.embedding(images).float()

    def weights(self) -> list[nn.Parameter]:
        """All parameters but sigma's."""
        return [parameter for name, parameter in self.named_parameters() if not name.startswith("sigma.")]


def width_of(embedding: str) -> int:
    """D."""
    return 500 if embedding == "convnet" else 512


def autocast(device: str, enabled: bool) -> torch.autocast:
    """bfloat16 where it is asked for."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=enabled)
