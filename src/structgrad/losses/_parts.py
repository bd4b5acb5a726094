"""Direct loss on some items of some replicas, and those of them that it solves in a wider type."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from structgrad.layers._draws import drowned
from structgrad.noise import Noise
from structgrad.polytopes.base import Polytope
from structgrad.portable import dots


@dataclass(frozen=True)
class Lost:
    """L of the items ``(r, m)`` of r replicas: which they are, whose, and their perturbed scores in float64."""

    polytope: Polytope
    items: Tensor
    replica: Tensor
    theta: Tensor
    direction: Tensor

    def of(self, replica: int) -> Lost:
        """Those of one replica, as if there were no other."""
        mine = self.replica == replica
        polytope = self.polytope.of_items(mine, mine.shape)
        return Lost(polytope, self.items[replica], self.replica[mine], self.theta[mine], self.direction[mine])

    def put(self, solutions: Tensor, into: Tensor) -> None:
        """Write solutions ``(L, samples, *event)`` where they belong."""
        into[self.items] = solutions.to(into.dtype)


def lost_items(
    polytope: Polytope, noise: Noise, mu: Tensor, sigma: Tensor, gamma: Tensor, direction: Tensor
) -> Lost | None:
    """The items of ``mu`` ``(r, m, 1, *event)`` that are too large for ``sigma gamma``; None where there are none."""
    rank = mu.dim() - 3
    lost = drowned(noise, mu.squeeze(2), rank, sigma.abs())
    if lost is None:
        return None
    items = lost & (sigma != 0)
    width, scores, z, cost = (x[items].double() for x in (sigma, mu, gamma, direction.expand_as(mu)))
    some = polytope.of_items(items, items.shape)
    return Lost(some, items, items.nonzero()[:, 0], scores + column(width, z) * z, cost)


@dataclass(frozen=True)
class Part:
    """Some items of some replicas: scores, both ends, losses; all ``(r, m, samples or 1, *event)``."""

    polytope: Polytope
    theta: Tensor
    direction: Tensor
    gamma: Tensor | None
    lost: Lost | None
    start: Tensor
    moved: Tensor
    loss: Tensor

    def gradients(self, scale: Tensor) -> tuple[Tensor, Tensor]:
        """With respect to mu ``(r, m, *event)`` and sigma ``(r, m)``; ``scale`` is the ends' distance times samples."""
        difference = self.moved - self.start
        gradient_mu = difference.sum(2)
        gradient_sigma = gradient_mu.new_zeros(gradient_mu.shape[:2])
        if self.gamma is not None:
            gradient_sigma = dots(self.gamma.flatten(2), difference.flatten(2)).to(gradient_mu.dtype)
        return gradient_mu / column(scale, gradient_mu), gradient_sigma / column(scale, gradient_sigma)


def column(per_replica: Tensor, like: Tensor) -> Tensor:
    """A number of each replica in the dtype of ``like``, with ones behind it."""
    return per_replica.to(like.dtype).view(-1, *(1,) * (like.dim() - 1))


def fits(value: Tensor, like: Tensor) -> bool:
    """Whether it broadcasts to the shape of ``like``."""
    sizes = zip(value.shape[::-1], like.shape[::-1], strict=False)
    return value.dim() <= like.dim() and all(size in (1, wanted) for size, wanted in sizes)
