"""Classifying images through a perturbed maximum as one would write it first: what ours is checked against.

The network written out in a function, one image's draws at a time, gradients in the scores by their formulas
(docs/protocols/berthet.md, 4.3). It shares no code with the package.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional


def scores(weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Ten scores an image; ``weights`` are called as ours are."""

    def convolved(x: Tensor, layer: int, padding: int) -> Tensor:
        return functional.relu(
            functional.conv2d(x, weights[f"{layer}.weight"], weights[f"{layer}.bias"], padding=padding)
        )

    x = functional.max_pool2d(convolved(convolved(images, 0, 1), 2, 0), 2)
    x = functional.max_pool2d(convolved(convolved(x, 5, 1), 7, 0), 2)
    x = functional.relu(x.flatten(1) @ weights["11.weight"].T + weights["11.bias"])
    return x @ weights["13.weight"].T + weights["13.bias"]


def step(
    loss: str, epsilon: float, weights: Mapping[str, Tensor], images: Tensor, labels: Tensor, z: Tensor
) -> tuple[float, dict[str, Tensor]]:
    """The mean squared distance of what is predicted to the labels, and the gradient of every weight.

    Args:
        loss: ``fenchel_young`` or ``cross_entropy``.
        epsilon: the temperature.
        weights: the network's, leaves of autograd.
        images: ``(B, C, H, W)`` from 0 to 1.
        labels: ``(B,)``.
        z: draws ``(B, M, 10)`` of the noise.
    """
    theta = scores(weights, images)
    if loss == "cross_entropy":
        value = epsilon * functional.cross_entropy(theta / epsilon, labels)
        gradients = torch.autograd.grad(value, list(weights.values()))
        predicted = torch.softmax(theta.detach() / epsilon, -1)
    else:
        predicted = torch.zeros_like(theta.detach())
        for item, draws in enumerate(z):
            for draw in draws:
                predicted[item, (theta[item].detach() + epsilon * draw).argmax()] += 1 / len(draws)
        value = (theta * predicted).sum() / len(labels) - theta[torch.arange(len(labels)), labels].mean()
        gradients = torch.autograd.grad(value, list(weights.values()))
    distance = (predicted - functional.one_hot(labels, 10)).square().sum(-1).mean()
    return distance.item(), dict(zip(weights, gradients, strict=True))
