"""One out of n: the probability simplex."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.polytopes.subset import Subset


class Simplex(Subset):
    """One-hot vectors of shape ``(n,)``: :class:`Subset` with k = 1, so what is defined for subsets holds here too.

    ``log_partition`` is ``log sum_i exp theta_i`` and ``marginals`` its gradient, the softmax. Equal scores go to the
    lower index. A mask must leave at least one item.
    """

    closed = True

    def __init__(self, n: int) -> None:
        super().__init__(n, 1)

    def _argmax(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        first = _within(theta, mask).argmax(-1, keepdim=True)  # torch: the first of equal ones
        return torch.zeros_like(theta).scatter_(-1, first, 1.0)

    def _plain_log_partition(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        scores = _within(theta, mask)
        top = scores.detach().amax(-1, keepdim=True)  # off first: beside it the logarithm would lose all its digits
        return torch.logsumexp(scores - top, -1) + top.squeeze(-1)

    def _kernel_marginals(self, theta: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        scores = _within(theta, mask)
        return torch.logsumexp(scores, -1), torch.softmax(scores, -1)

    def _kernel_product(self, theta: Tensor, mask: Tensor | None, direction: Tensor) -> Tensor:
        marginals = torch.softmax(_within(theta, mask), -1)
        return marginals * (direction - (marginals * direction).sum(-1, keepdim=True))

    def _kernel_entropy(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        scores = _within(theta, mask)
        below = scores.amax(-1, keepdim=True) - theta  # not negative where it counts
        shares = torch.softmax(scores, -1)
        return torch.logsumexp(-below if mask is None else (-below).masked_fill(~mask, -torch.inf), -1) + (
            shares * below
        ).sum(-1)

    def _kernel_sample(self, theta: Tensor, mask: Tensor | None, uniforms: Tensor) -> Tensor:
        """By inversion: the first item up to which the shares add up to more than a uniform."""
        sums = torch.softmax(_within(theta, mask), -1).cumsum(-1)
        first = torch.searchsorted(sums, uniforms.squeeze(-1) * sums[:, -1:], right=True)
        return torch.zeros(*first.shape, self.n, dtype=torch.bool, device="cpu").scatter_(-1, first.unsqueeze(-1), True)

    def _uniforms(self) -> int:
        return 1


def _within(theta: Tensor, mask: Tensor | None) -> Tensor:
    return theta if mask is None else theta.masked_fill(~mask, -torch.inf)
