"""Paths across a grid from its top-left to its bottom-right cell."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from structgrad.arguments import count
from structgrad.parallel import run_kernel
from structgrad.polytopes._grid_path import MOVES, cheapest_paths
from structgrad.polytopes.base import Polytope


class GridPath(Polytope):
    """Cells ``y`` of shape ``(h, w)``, 1 on a path from the top-left to the bottom-right cell, both included.

    Scores are negative costs of cells, ``theta = -cost``, and the maximiser is the cheapest path (berthet, section 5.3;
    Vlastelica et al. 2020). Scores above zero, which noise produces, count as zero: what is found maximises
    ``<min(theta, 0), y>``. With negative costs the problem is that of the longest path, which is NP-hard.

    Of equally cheap paths (by float64 sums from the first cell on) it is one with the fewest cells; among these it
    goes, at each step, right, down, left or up before it goes diagonally.

    Because of the zero the maximum is no convex function of the scores: where noise lifts a score of the path above it,
    :meth:`structgrad.layers.Perturbed.potential`, and Fenchel-Young losses with it, raise ValueError. Noise that keeps
    signs does not: :class:`structgrad.layers.PerturbedMultiplicative`.

    Args:
        h, w: rows and columns.
        neighbours: 8, or 4 for no diagonal steps.
    """

    adds = True
    nonpositive = True

    def __init__(self, h: int, w: int, neighbours: int = 8) -> None:
        h, w = count(h, "h"), count(w, "w")
        if neighbours not in (4, 8):
            raise ValueError(f"neighbours must be 4 or 8, not {neighbours}")
        self.h, self.w, self.neighbours = h, w, neighbours
        self.event_shape = (h, w)

    def _argmax(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        if theta.device.type != "cpu":
            return relaxed_paths(theta, self.neighbours)
        scores = theta.reshape(-1, self.h, self.w).contiguous()
        paths = torch.zeros_like(scores)
        run_kernel(cheapest_paths, scores.numpy(), self.neighbours, paths.numpy())
        return paths.view(theta.shape)

    def vertices(self) -> Tensor:
        found = set()
        path = []  # cells of the walk so far; every simple walk is tried

        def walk(i: int, j: int) -> None:
            path.append((i, j))
            if (i, j) == (self.h - 1, self.w - 1):
                found.add(tuple(sorted(path)))  # two orders of the same cells are one structure
            else:
                for down, right in MOVES[: self.neighbours].tolist():
                    cell = i + down, j + right
                    if 0 <= cell[0] < self.h and 0 <= cell[1] < self.w and cell not in path:
                        walk(*cell)
            path.pop()

        walk(0, 0)
        vertices = torch.zeros(len(found), self.h, self.w, dtype=torch.float64, device="cpu")
        for vertex, cells in zip(vertices, sorted(found), strict=True):
            vertex[tuple(zip(*cells, strict=True))] = 1.0
        return vertices


def relaxed_paths(theta: Tensor, neighbours: int) -> Tensor:
    """The same paths by relaxing all steps at once until nothing changes (Bellman and Ford), on any device.

    Distances are sums of the same numbers in the same order as the kernel's: they agree to the last bit, and so do
    the ties between them.
    """
    h, w = theta.shape[-2:]
    moves = MOVES[:neighbours].tolist()
    cost = theta.double().neg().clamp(min=0.0).reshape(-1, h, w)

    def near(x: Tensor) -> Tensor:
        """``near(x)[:, m, i, j]`` is x one move m from (i, j), infinite outside."""
        padded = F.pad(x, (1, 1, 1, 1), value=torch.inf)
        return torch.stack([padded[:, 1 + i : 1 + i + h, 1 + j : 1 + j + w] for i, j in moves], 1)

    distance = torch.full_like(cost, torch.inf)
    distance[:, 0, 0] = cost[:, 0, 0]
    distance = _settle(distance, lambda x: near(x).amin(1) + cost)
    tight = distance.unsqueeze(1) + near(cost) == near(distance)
    left = torch.full_like(cost, torch.inf)
    left[:, -1, -1] = 0.0
    left = _settle(left, lambda x: near(x).masked_fill(~tight, torch.inf).amin(1) + 1.0)

    ahead = tight & (near(left) == left.unsqueeze(1) - 1.0)
    jumps = torch.tensor([i * w + j for i, j in moves], device=theta.device)[ahead.byte().argmax(1)].flatten(1)
    jumps[:, -1] = 0  # stay
    paths = torch.zeros_like(jumps, dtype=theta.dtype)
    cell = jumps.new_zeros(len(jumps), 1)
    paths[:, 0] = 1.0
    for _ in range(h * w):
        if bool((cell == h * w - 1).all()):
            break
        cell = cell + jumps.gather(1, cell)
        paths.scatter_(1, cell, 1.0)
    return paths.view(theta.shape)


def _settle(x: Tensor, relax: Callable[[Tensor], Tensor]) -> Tensor:
    """Lower ``x`` to ``relax(x)`` until it no longer falls."""
    for _ in range(x[:1].numel() + 1):  # each round settles one cell at least
        lower = torch.minimum(x, relax(x))
        if torch.equal(lower, x):
            break
        x = lower
    return x
