"""Subsets of k items of a chain, with a coordinate for each pair of neighbours that are both chosen."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from structgrad.arguments import count
from structgrad.polytopes._correlated_subset import (
    best_subset,
    correlated_marginals,
    correlated_product,
    correlated_shares,
)
from structgrad.polytopes._subset_draws import by_rows, chain_draws, chain_entropy
from structgrad.polytopes._tensors import on_cpu, run_tensors
from structgrad.polytopes.exponential import ExponentialFamily


class CorrelatedSubset(ExponentialFamily):
    """Vectors ``(y_1 .. y_n, y_1 y_2 .. y_{n-1} y_n)`` of shape ``(2n - 1,)`` with ``y`` binary and ``sum y = k``.

    The correlation polytope of a chain with a cardinality constraint (paulus, section 6, correlated k-subset
    selection): scores of the last n - 1 coordinates reward or punish neighbours. Paulus adds noise to the first n only:
    ``unaries`` is True there.

    The maximiser is a dynamic program. Of equally good subsets (in float64, summed from the first item on) it takes the
    one that leaves out the last item, then the last but one, and so on: ties go to the lower indices. ``log_partition``
    is the same program with sums of weights in place of maxima; it and ``marginals`` take ``O(nk)`` steps per row.

    A masked item is out, and its pairs with it. A masked pair may not be chosen together, its items alone may.

    Args:
        n: how many items there are, at least 1.
        k: how many are chosen, 0 to n.

    Raises:
        ValueError: n or k out of range.
    """

    takes_mask = True
    adds = adds_weights = True

    def __init__(self, n: int, k: int) -> None:
        n, k = count(n, "n"), count(k, "k", 0)
        if k > n:
            raise ValueError(f"k must lie between 0 and n = {n}, not {k}")
        self.n, self.k = n, k
        self.event_shape = (2 * n - 1,)
        self.telling = n
        self.unaries = torch.arange(2 * n - 1, device="cpu") < n

    def _argmax(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        scores = theta.double().reshape(-1, *self.event_shape).contiguous()
        allowed = None if mask is None else mask.reshape(scores.shape).contiguous()
        forced = torch.zeros_like(scores, dtype=torch.bool)
        return on_cpu(self._argmax_forced, scores, allowed, forced).view(theta.shape)

    def _argmax_forced(self, theta: Tensor, allowed: Tensor | None, forced: Tensor) -> Tensor:
        y = torch.empty_like(theta)
        self._run(best_subset, theta, allowed, forced, y)
        return y

    def vertices(self) -> Tensor:
        chosen = torch.tensor(list(combinations(range(self.n), self.k)), dtype=torch.int64, device="cpu")
        items = torch.zeros(len(chosen), self.n, dtype=torch.float64, device="cpu").scatter_(1, chosen, 1.0)
        return torch.cat([items, items[:, :-1] * items[:, 1:]], 1)

    def _feasible(self, mask: Tensor) -> Tensor:
        """Whether k items are left when every other one is taken of each run of items that forbid each other."""
        items, place = mask[..., : self.n], torch.arange(self.n, device=mask.device)
        tied = items[..., 1:] & items[..., :-1] & ~mask[..., self.n :]
        start = torch.where(F.pad(tied, (1, 0)), 0, place).cummax(-1).values
        return (items & ((place - start) % 2 == 0)).sum(-1) >= self.k

    def _structure(self) -> str:
        return f"subset of {self.k} items"

    def _plain_log_partition(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        """The forward pass over (chosen or not, row, count), in logarithms."""
        size = theta.detach() if mask is None else theta.detach().masked_fill(~mask, 0.0)
        # Below any sum of scores by so much that its weight rounds to zero, and no lower: where two forbidden states
        # meet, their shares still add up to one, so that no derivative grows along such states.
        never = -(1000.0 + self.n + 4.0 * self.k * size.abs().amax(-1, keepdim=True))
        unaries, pairs = self._parts(theta, mask, never)
        neither = torch.zeros_like(unaries)
        steps = torch.stack([torch.stack([neither, unaries]), torch.stack([neither, unaries + pairs])])
        chosen = never.expand(-1, self.k + 1)
        states = torch.stack([torch.cat([torch.zeros_like(never), chosen[:, 1:]], 1), chosen])
        for step in steps.unbind(-1):  # [item before chosen, item chosen, row]
            out, chosen = torch.logsumexp(states[:, None] + step[..., None], 0)
            states = torch.stack([out, torch.cat([never, chosen[:, :-1]], 1)])
        return torch.logsumexp(states[:, :, self.k], 0)

    def _parts(self, theta: Tensor, mask: Tensor | None, forbidden: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of the items, and of each one's pair with the item before it; ``forbidden`` ``(B, 1)`` out of mask."""
        if mask is not None:
            theta = torch.where(mask, theta, forbidden)
        return theta[:, : self.n], torch.cat([forbidden, theta[:, self.n :]], 1)

    def _kernel_marginals(self, theta: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        log_partition, marginals = theta.new_empty(len(theta)), torch.empty_like(theta)
        self._run(correlated_marginals, theta, mask, log_partition, marginals)
        return log_partition, marginals

    def _kernel_product(self, theta: Tensor, mask: Tensor | None, direction: Tensor) -> Tensor:
        product = torch.empty_like(theta)
        self._run(correlated_product, theta, mask, direction, product)
        return product

    def _kernel_entropy(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        def block(theta: Tensor, mask: Tensor | None) -> Tensor:
            entropy = theta.new_empty(len(theta))
            run_tensors(chain_entropy, *self._tables(theta, mask), entropy)
            return entropy

        return by_rows(block, 2 * (self.n + 1) * (self.k + 1), theta, mask)

    def _kernel_sample(self, theta: Tensor, mask: Tensor | None, uniforms: Tensor) -> Tensor:
        def block(theta: Tensor, mask: Tensor | None, uniforms: Tensor) -> Tensor:
            y = torch.zeros(*uniforms.shape[:2], *self.event_shape, dtype=torch.bool, device="cpu")
            run_tensors(chain_draws, self._tables(theta, mask)[0], uniforms, y)
            return y

        return by_rows(block, 2 * (self.n + 1) * (self.k + 1), theta, mask, uniforms)

    def _uniforms(self) -> int:
        return self.n + 1

    def _tables(self, theta: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """The shares of each state."""
        shares, rests = theta.new_zeros(2, len(theta), 2, self.n + 1, self.k + 1).unbind()
        self._run(correlated_shares, theta, mask, shares, rests)
        return shares, rests

    def _run(self, kernel: Callable[..., None], theta: Tensor, mask: Tensor | None, *tensors: Tensor) -> None:
        allowed = torch.ones(theta.shape, dtype=torch.bool, device="cpu") if mask is None else mask
        run_tensors(kernel, theta.detach(), allowed, *tensors, self.k)
