"""Rankings of n things: the permutations of 0 .. n-1, vertices of the permutahedron."""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor

from structgrad.arguments import count
from structgrad.parallel import run_kernel
from structgrad.polytopes._ranks import perturbed_ranks, ranks
from structgrad.polytopes.base import Polytope
from structgrad.transforms import opaque

COUNTED = 256  # coordinates up to which counting beats sorting


class Permutahedron(Polytope):
    """Rank vectors ``y`` of shape ``(n,)``: each of 0 .. n-1 once (berthet, section 2; Blondel et al. 2020).

    The maximiser is the vector of ascending ranks, ``n - 1`` for the largest score, by the rearrangement inequality.
    Of equal scores the earlier gets the lower rank. Half precision holds ranks up to 256 (bfloat16) or 2048 (float16).
    """

    def __init__(self, n: int) -> None:
        self.n = n = count(n, "n")
        self.event_shape = (n,)

    @opaque
    def argmax(self, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        """As in :meth:`Polytope.argmax`; the ranks come in the type of the scores.

        Raises:
            ValueError: also if that type does not hold all whole numbers below n.
        """
        if isinstance(theta, Tensor) and theta.is_floating_point() and self.n - 1 > 2 / torch.finfo(theta.dtype).eps:
            raise ValueError(
                f"theta of shape {tuple(theta.shape)} and {theta.dtype} cannot hold ranks up to {self.n - 1}: "
                "give a wider type"
            )
        return super().argmax(theta, mask)

    def _argmax(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        if theta.device.type != "cpu" or self.n > COUNTED:
            return sorted_ranks(theta)
        scores = theta.reshape(-1, self.n).contiguous()
        y = torch.empty_like(scores)
        run_kernel(ranks, scores.numpy(), y.numpy())
        return y.view(theta.shape)

    def argmax_perturbed(self, theta: Tensor, sigma: Tensor, z: Tensor, mask: Tensor | None = None) -> Tensor:
        if z.device.type != "cpu" or self.n > COUNTED or z.dtype not in (torch.float32, torch.float64):
            return super().argmax_perturbed(theta, sigma, z, mask)
        y = torch.empty_like(z, memory_format=torch.contiguous_format)
        arrays = (theta.detach().contiguous(), sigma.detach().contiguous(), z.contiguous(), y)
        run_kernel(perturbed_ranks, *(array.numpy() for array in arrays))
        return y

    def vertices(self) -> Tensor:
        return torch.tensor(list(permutations(range(self.n))), dtype=torch.float64, device="cpu")


def sorted_ranks(theta: Tensor) -> Tensor:
    """Ascending ranks along the last dimension by one stable sort, on any device."""
    order = (theta + 0.0).argsort(dim=-1, stable=True)  # -0.0 becomes 0.0: sorts by bits would part them
    places = torch.arange(theta.shape[-1], dtype=theta.dtype, device=theta.device)
    return torch.empty_like(theta).scatter_(-1, order, places.expand_as(theta))
