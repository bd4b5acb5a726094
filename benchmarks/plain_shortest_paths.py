"""Learning costs from shortest paths as one would write it first: what ours is checked against.

Dijkstra over a heap of tuples, one map and one perturbation at a time, networks written out in functions, gradients in
the costs by their formulas (docs/protocols/berthet.md, 5.3). It shares no code with the package.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

MOVES = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))


def cheapest_path(costs: list[list[float]]) -> list[list[float]]:
    """Ones on a cheapest path from the top-left to the bottom-right cell; negative costs count as zero.

    Of equally cheap ones that of the fewest cells, and of these the one whose moves come first in :data:`MOVES`.
    """
    side = len(costs)
    heap: list[tuple[float, int, tuple[int, ...], tuple[int, int]]] = [(max(costs[0][0], 0.0), 1, (), (0, 0))]
    settled, moves = set[tuple[int, int]](), tuple[int, ...]()
    while heap:
        cost, cells, moves, (i, j) = heapq.heappop(heap)
        if (i, j) == (side - 1, side - 1):
            break
        if (i, j) in settled:
            continue
        settled.add((i, j))
        for move, (down, right) in enumerate(MOVES):
            a, b = i + down, j + right
            if 0 <= a < side and 0 <= b < side and (a, b) not in settled:
                heapq.heappush(heap, (cost + max(costs[a][b], 0.0), cells + 1, (*moves, move), (a, b)))
    path = [[0.0] * side for _ in range(side)]
    i = j = 0
    path[0][0] = 1.0
    for move in moves:
        i, j = i + MOVES[move][0], j + MOVES[move][1]
        path[i][j] = 1.0
    return path


def paths(costs: Tensor) -> Tensor:
    """One path per map, ``(B, 12, 12)``."""
    return torch.tensor([cheapest_path(each) for each in costs.tolist()], dtype=costs.dtype)


def resnet(weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """The first five layers of ResNet18 in training mode; ``weights`` are called as ours are."""

    def normalised(x: Tensor, name: str) -> Tensor:
        return functional.batch_norm(x, None, None, weights[f"{name}.weight"], weights[f"{name}.bias"], training=True)

    x = functional.conv2d(images, weights["layers.0.weight"], stride=2, padding=3)
    x = functional.max_pool2d(functional.relu(normalised(x, "layers.1")), 3, 2, 1)
    for block in ("layers.4.layers", "layers.5.layers"):
        y = functional.relu(normalised(functional.conv2d(x, weights[f"{block}.0.weight"], padding=1), f"{block}.1"))
        y = normalised(functional.conv2d(y, weights[f"{block}.3.weight"], padding=1), f"{block}.4")
        x = functional.relu(x + y)
    return functional.max_pool2d(x, 2).mean(1)


def cnn(weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Three convolutions; even kernels see one pixel more to the right and below."""

    def convolved(x: Tensor, layer: int) -> Tensor:
        kernel = weights[f"layers.{layer}.weight"]
        more = kernel.shape[-1] - 1
        before, after = more // 2, more - more // 2
        return functional.conv2d(
            functional.pad(x, (before, after, before, after)), kernel, weights[f"layers.{layer}.bias"]
        )

    x = functional.max_pool2d(functional.relu(convolved(images, 1)), 4)
    x = functional.avg_pool2d(functional.relu(convolved(x, 5)), 2)
    return convolved(x, 9).mean(1)


NETWORKS = {"resnet": resnet, "cnn": cnn}


def step(
    network: str,
    loss: str,
    weights: Mapping[str, Tensor],
    images: Tensor,
    y: Tensor,
    numbers: Mapping[str, float],
    z: Tensor,
) -> tuple[float, dict[str, Tensor]]:
    """The loss that is shown, and the gradient of every weight.

    Args:
        network, loss: by name.
        weights: the network's, leaves of autograd.
        images: ``(B, 3, 96, 96)``, normalised.
        y: true paths ``(B, 12, 12)``.
        numbers: ``epsilon`` or ``interpolation``.
        z: standard normal draws ``(B, M, 12, 12)``.
    """
    outputs = NETWORKS[network](weights, images)
    if loss == "squared":
        predicted = torch.sigmoid(outputs)
        value = 0.5 * ((predicted - y) ** 2).sum() / len(y)
        gradients = torch.autograd.grad(value, list(weights.values()))
        return value.item(), dict(zip(weights, gradients, strict=True))
    costs = outputs.abs()
    fixed = costs.detach()
    if loss == "fenchel_young":  # costs are scores turned round: theta = -costs, theta + epsilon z
        predicted = torch.stack([paths(fixed - numbers["epsilon"] * z[:, m]) for m in range(z.shape[1])]).mean(0)
        gradient = y - predicted
    else:
        predicted, step = paths(fixed), numbers["interpolation"]
        moved = paths(fixed + step * (1 - 2 * y) / len(y))
        gradient = (moved - predicted) / step * len(y)
    gradients = torch.autograd.grad((costs * gradient).sum() / len(y), list(weights.values()))
    return float(0.5 * ((predicted - y) ** 2).sum() / len(y)), dict(zip(weights, gradients, strict=True))
