"""The draws of a perturbed maximiser, its solutions, and what is summed over them, block by block of items."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from structgrad.autograd import constant
from structgrad.layers._draws import drowned
from structgrad.noise import Noise
from structgrad.parallel import map_blocks
from structgrad.polytopes.base import Polytope
from structgrad.portable import dots
from structgrad.transforms import concrete

BLOCK = 1 << 17  # scores a worker handles at once, on a CPU: they and their solutions stay in cache


class Draws(NamedTuple):
    """B items: their scores, magnitudes ``(B,)``, noise and solutions ``(B, M, *event)`` (or what is made of these).

    ``mask`` is the polytope's; ``active`` marks the coordinates whose noise matters; both ``(B, 1, *event)`` or None.
    ``polytope`` is that of these items. Where ``offset``, ``y`` is h of the solutions, ``(B, M, 1)``: one more
    coordinate of them, with a score of 1 and without noise.
    """

    theta: Tensor
    sigma: Tensor
    z: Tensor
    y: Tensor
    mask: Tensor | None
    active: Tensor | None
    polytope: Polytope
    offset: bool = False

    def rows(self, rows: slice | Tensor) -> Draws:
        parts = (None if part is None else part[rows] for part in self[:TENSORS])
        return Draws(*parts, self.polytope.of_items(rows, (len(self.z),)), self.offset)  # type: ignore[arg-type]

    def offsets(self) -> Tensor | None:
        """``h(y)``, ``(B, M)`` float64, where the polytope has one."""
        return constant(self.polytope.offset, self.y) if self.polytope.has_offset else None

    def without_noise(self) -> Tensor:
        """The solutions at ``theta`` itself, ``(B, *event)`` (h of them where ``offset``, ``(B, 1)``)."""
        best = self.polytope.argmax(self.theta, None if self.mask is None else self.mask.squeeze(1))
        value = self.polytope.offset(best) if self.offset else None
        return best if value is None else value.unsqueeze(-1).to(best.dtype)


TENSORS = 6  # the first parts of draws
# The derivatives of <direction, maximiser> in theta and in sigma, as far as wanted.
Pulled = tuple[Tensor | None, Tensor | None]


def columns(value: Tensor, like: Tensor) -> Tensor:
    """Ones behind the dimensions of ``value``, as many as ``like`` has more."""
    return value.view(*value.shape, *(1,) * (like.dim() - value.dim()))


def map_items(function: Callable[[slice], None], z: Tensor) -> None:
    """``function(rows)`` for all items: in blocks that fit the cache on a CPU, all at once elsewhere."""
    items = len(z)
    size = max(1, BLOCK // max(1, z[0].numel())) if items and z.device.type == "cpu" else items
    map_blocks(function, items, size)


def solutions(
    fill: Callable[[Draws], None], polytope: Polytope, theta: Tensor, sigma: Tensor, z: Tensor, mask: Tensor | None
) -> Tensor:
    """The maximisers at the perturbed scores, shaped as ``z``; ``fill`` puts those of a block into its ``y``."""
    draws = Draws(theta, sigma, z, torch.empty_like(z), mask, None, polytope)
    map_items(torch.no_grad()(lambda rows: fill(draws.rows(rows))), z)
    return draws.y


def fill_added(noise: Noise, draws: Draws) -> None:
    """Put the maximisers at ``theta + sigma z`` into ``draws.y``; in float64 where scores would drown the noise."""
    draws.y[:] = draws.polytope.argmax_perturbed(draws.theta, draws.sigma, draws.z, draws.mask)
    lost = drowned(noise, draws.theta, draws.theta.dim() - 1, draws.sigma)
    if lost is not None:
        some = draws.rows(lost)
        theta, sigma, z = (x.double() for x in some[:3])
        draws.y[lost] = some.polytope.argmax_perturbed(theta, sigma, z, some.mask).to(draws.y.dtype)


def refuse_lifted(polytope: Polytope, scores: Tensor, y: Tensor, theta: Tensor) -> None:
    """Refuse a potential where scores count as zero, some are above it, and a solution uses one of these.

    Raises:
        ValueError: there is one.
    """
    if bool(concrete((scores > 0) & (y > 0)).any()):
        raise ValueError(
            f"theta of shape {tuple(theta.shape)} has no potential over {type(polytope).__name__}: scores that noise "
            "lifts above zero count as zero; take PerturbedMultiplicative and scores below zero, or lower sigma"
        )


@torch.no_grad()
def maxima_of(draws: Draws) -> Tensor:
    """``<theta + sigma z, y> + h(y)``, ``(B, M)`` float64."""
    maxima = draws.z.new_empty(draws.z.shape[:2], dtype=torch.float64)

    @torch.no_grad()
    def fill(rows: slice) -> None:
        theta, sigma, z, y = (part[rows] for part in draws[:4])
        noise = dots(z.flatten(2), y.flatten(2))
        maxima[rows] = dots(theta.unsqueeze(1).expand_as(y).flatten(2), y.flatten(2)) + columns(sigma, noise) * noise

    map_items(fill, draws.z)
    offsets = draws.offsets()
    return maxima if offsets is None else maxima + offsets


@torch.no_grad()
def slopes_of(z: Tensor, y: Tensor) -> Tensor:
    """The mean of ``<z, y>`` over the samples, ``(B,)``."""
    slopes = z.new_empty(len(z))

    @torch.no_grad()
    def fill(rows: slice) -> None:
        slopes[rows] = (dots(z[rows].flatten(1), y[rows].flatten(1)) / z.shape[1]).to(slopes.dtype)

    map_items(fill, z)
    return slopes
