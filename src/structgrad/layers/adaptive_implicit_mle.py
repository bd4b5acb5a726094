r"""Implicit maximum likelihood with a step that finds its own size (Minervini, Franceschi and Niepert 2023).

The step is relative: ``lambda = alpha |theta| / |g|``, so that scores move by the share alpha of their norm whatever
the scale of the loss. Too small an alpha leaves most samples where they are, and the gradient zero; too large a one
makes it biased. So alpha follows the number of entries that are not zero: after a backward pass, with ``c'`` the mean
of that number over the items,

    m     <- d m + (1 - d) c'
    alpha <- alpha + eta  if m < c,  alpha - eta  otherwise,  and never below zero

with a target c of one entry per item, d = 0.9 and eta = 0.001. Rule and constants are those of others'
descriptions of the method: check them against the paper before comparing with its numbers.
"""

from __future__ import annotations

from math import prod
from typing import Any, Self

import torch
from torch import Tensor

from structgrad.arguments import count, real
from structgrad.layers._perturb_and_map import PerturbAndMap
from structgrad.layers.base import Scale, checked_scale, over_event
from structgrad.layers.implicit_mle import STANDARD_GUMBEL
from structgrad.noise import Noise
from structgrad.polytopes.base import Polytope
from structgrad.portable import dots


class AdaptiveImplicitMLE(PerturbAndMap):
    """:class:`structgrad.layers.ImplicitMLE` with ``lambda = alpha |theta| / |g|``, two-sided unless told otherwise.

    **What is an item's own**: lambda, from the norms of its own scores and of the ``g`` of each of its draws; so its
    sample and its gradient do not depend on the items beside it. An item whose scores or ``g`` are all zero has the
    gradient zero, and counts.

    **What the batch shares**: alpha and the moving average m, registered buffers in float64 that a checkpoint
    (``state_dict``) holds. Every backward pass in ``train()`` mode moves them once, after its gradient was made; what
    comes later depends on all items that were in it, as with the running statistics of batch normalisation. In
    ``eval()`` mode they stand still. With ``replicas`` there is one of both for each index of the first dimension of
    the scores, moved by the items of that index alone.

    >>> from structgrad.polytopes import Simplex
    >>> layer = AdaptiveImplicitMLE(Simplex(2), temperature=1e-6, alpha=0.8)
    >>> theta = torch.tensor([4.0, 3.0], requires_grad=True)      # of norm 5: they move by 4
    >>> layer(theta, torch.Generator().manual_seed(0))[0].backward()
    >>> theta.grad.tolist(), round(layer.alpha.item(), 6)         # two entries are more than one: a smaller alpha
    ([0.125, -0.125], 0.799)

    Args:
        polytope, noise, temperature, samples, two_sided: as in :class:`structgrad.layers.ImplicitMLE`.
        alpha: where it starts.
        target: c, entries per item.
        rate: eta.
        decay: d, at least 0 and below 1; m starts at the target.
        replicas: how many indices of the first dimension have an alpha of their own; None: one for all.

    Raises:
        ValueError: also when called with scores whose first dimension is not ``replicas``.
    """

    alpha: Tensor
    average: Tensor

    def __init__(
        self,
        polytope: Polytope,
        noise: Noise = STANDARD_GUMBEL,
        temperature: Scale = 1.0,
        samples: int | None = None,
        two_sided: bool = True,
        alpha: float = 1.0,
        target: float = 1.0,
        rate: float = 0.001,
        decay: float = 0.9,
        replicas: int | None = None,
    ) -> None:
        super().__init__(polytope, noise, temperature, samples, two_sided)
        for name, value in (("alpha", alpha), ("target", target), ("rate", rate)):
            checked_scale(real(value, name), name)
        if not 0 <= real(decay, "decay") < 1:
            raise ValueError(f"decay must be at least 0 and below 1, not {decay}")
        self.target, self.rate, self.decay = target, rate, decay
        self.replicas = None if replicas is None else count(replicas, "replicas")
        shape = () if self.replicas is None else (self.replicas,)
        for name, value in (("alpha", alpha), ("average", target)):
            self.register_buffer(name, torch.full(shape, float(value), dtype=torch.float64, device="cpu"))

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        exact = self.alpha, self.average
        super()._apply(fn, recurse)
        for name, value in zip(("alpha", "average"), exact, strict=True):
            moved = getattr(self, name)
            if moved.dtype != value.dtype:  # .half(): steps of eta would be lost
                setattr(self, name, value.to(moved.device))
        return self

    def _check_step(self, theta: Tensor) -> None:
        leading = theta.shape[: theta.dim() - len(self.polytope.event_shape)]
        if self.replicas is not None and leading[:1] != (self.replicas,):
            raise ValueError(f"theta of shape {tuple(theta.shape)} does not begin with {self.replicas} replicas")

    def _move(self, theta: Tensor, direction: Tensor) -> tuple[Tensor, Scale, Scale]:
        rank = len(self.polytope.event_shape)
        (_, size), (unit, scale) = _split(theta, rank), _split(direction, rank)
        alpha = self.alpha.view(*self.alpha.shape, *(1,) * (theta.dim() - self.alpha.dim())).to(theta.device)
        return unit, alpha * size, scale

    @torch.no_grad()
    def _learn(self, gradient: Tensor) -> None:
        if not self.training or not gradient.numel():
            return
        entries = (gradient != 0).flatten(self.alpha.dim()).sum(-1)
        items = gradient.numel() // (self.alpha.numel() * prod(self.polytope.event_shape))
        self.average.mul_(self.decay).add_((1 - self.decay) / items * entries.to(self.average))
        self.alpha.add_(self.rate * (2 * (self.average < self.target).to(self.alpha) - 1)).clamp_(min=0.0)


def _split(value: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Directions of length one and norms, which broadcast over ``rank`` event dimensions; zeros stay zero."""
    rows = value.flatten(-rank) if rank else value.unsqueeze(-1)
    largest = rows.abs().amax(-1, keepdim=True)
    rows = rows / torch.where(largest > 0, largest, 1.0)  # squares of what is left neither overflow nor vanish
    length = dots(rows, rows).sqrt().unsqueeze(-1)
    unit = rows / torch.where(length > 0, length, 1.0)
    return unit.view(value.shape), over_event((largest * length).squeeze(-1), rank)
