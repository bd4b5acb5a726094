"""Subsets of k out of n items: k-hot vectors, the vertices of a hypersimplex."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from structgrad.arguments import count
from structgrad.polytopes._ranked import ranked
from structgrad.polytopes._subset import subset_marginals, subset_product, subset_shares, top
from structgrad.polytopes._subset_draws import by_rows, subset_draws, subset_entropy
from structgrad.polytopes._tensors import run_tensors
from structgrad.polytopes.exponential import ExponentialFamily


class Subset(ExponentialFamily):
    """Binary vectors ``y`` of shape ``(n,)`` with ``sum y = k`` (paulus, section 6, k-subset selection).

    The maximiser has the k largest scores; equal scores go to the lower index. ``log_partition`` is the log of the k-th
    elementary symmetric polynomial of ``exp theta``; it and ``marginals`` take ``O(nk)`` steps per row. A mask must
    leave at least k items.

    Args:
        n: how many items there are, at least 1.
        k: how many are chosen, 0 to n.

    Raises:
        ValueError: n or k out of range.

    >>> subset = Subset(4, 2)
    >>> subset.argmax(torch.tensor([0.0, 3.0, 1.0, 2.0]))
    tensor([0., 1., 0., 1.])
    >>> subset.marginals(torch.zeros(4))
    tensor([0.5000, 0.5000, 0.5000, 0.5000])
    """

    takes_mask = adds_weights = True

    def __init__(self, n: int, k: int) -> None:
        n, k = count(n, "n"), count(k, "k", 0)
        if k > n:
            raise ValueError(f"k must lie between 0 and n = {n}, not {k}")
        self.n, self.k = n, k
        self.event_shape = (n,)

    def _argmax(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        if theta.device.type != "cpu":
            return self._plain_argmax(theta, mask)
        y = torch.empty_like(theta, memory_format=torch.contiguous_format)
        self._run(top, theta.reshape(-1, self.n).contiguous(), mask, y.view(-1, self.n))
        return y

    def _plain_argmax(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        # which of equal scores torch.topk picks is not specified, but the k-th largest value is
        if self.k == 0:
            return torch.zeros_like(theta)
        scores = theta if mask is None else theta.masked_fill(~mask, -torch.inf)
        least = scores.topk(self.k, sorted=False).values.amin(-1, keepdim=True)
        above, equal = scores > least, scores == least
        left = self.k - above.sum(-1, keepdim=True)
        return (above | (equal & (equal.cumsum(-1) <= left))).to(theta.dtype)

    def vertices(self) -> Tensor:
        chosen = torch.tensor(list(combinations(range(self.n), self.k)), dtype=torch.int64, device="cpu")
        return torch.zeros(len(chosen), self.n, dtype=torch.float64, device="cpu").scatter_(1, chosen, 1.0)

    def _feasible(self, mask: Tensor) -> Tensor:
        return mask.sum(-1) >= self.k

    def _argmax_forced(self, theta: Tensor, allowed: Tensor, forced: Tensor) -> Tensor:
        return self._argmax(ranked(theta, forced), allowed)

    def _structure(self) -> str:
        return f"subset of {self.k} items"

    def _plain_log_partition(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        """The number of heads of independent coins (see ``_subset``), block by block of items, in log2(n) levels."""
        if self.k == 0:
            return (0.0 * torch.sigmoid(theta)).sum(-1)  # zero, and so are its derivatives of every order
        level = self._level(theta.detach() if mask is None else theta.detach().masked_fill(~mask, -torch.inf))
        over = theta - level
        if mask is not None:
            over = over.masked_fill(~mask, -1e30)  # finite, so that derivatives are
        counts = torch.stack([torch.sigmoid(-over), torch.sigmoid(over)], -1)  # (B, blocks, chance of each count)
        while counts.shape[1] > 1:
            if counts.shape[1] % 2:
                nothing = torch.zeros_like(counts[:, :1])
                nothing[..., 0] = 1.0
                counts = torch.cat([counts, nothing], 1)
            counts = _convolve(counts[:, ::2], counts[:, 1::2], self.k + 1)
        return counts[:, 0, self.k].log() - F.logsigmoid(-over).sum(-1) + self.k * level.squeeze(-1)

    def _level(self, scores: Tensor) -> Tensor:
        """``tau`` ``(B, 1)`` for which about k heads are expected; ``log Z`` does not depend on it."""
        least = scores.topk(self.k, sorted=False).values.amin(-1, keepdim=True)
        low, high = least - math.log(2 * self.k), least + math.log(2 * self.n)
        for _ in range(16):  # to within a standard deviation of the number of heads, for a million items and more
            level = (low + high) / 2
            many = torch.sigmoid(scores - level).sum(-1, keepdim=True) > self.k
            low, high = torch.where(many, level, low), torch.where(many, high, level)
        return (low + high) / 2

    def _kernel_marginals(self, theta: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        log_partition, marginals = theta.new_empty(len(theta)), torch.empty_like(theta)
        self._run(subset_marginals, theta, mask, log_partition, marginals)
        return log_partition, marginals

    def _kernel_product(self, theta: Tensor, mask: Tensor | None, direction: Tensor) -> Tensor:
        product = torch.empty_like(theta)
        self._run(subset_product, theta, mask, direction, product)
        return product

    def _kernel_entropy(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        def block(theta: Tensor, mask: Tensor | None) -> Tensor:
            entropy = theta.new_empty(len(theta))
            share, rest, _, counts = self._tables(theta, mask)
            run_tensors(subset_entropy, share, rest, counts, entropy)
            return entropy

        return by_rows(block, self.n * (self.k + 1), theta, mask)

    def _kernel_sample(self, theta: Tensor, mask: Tensor | None, uniforms: Tensor) -> Tensor:
        def block(theta: Tensor, mask: Tensor | None, uniforms: Tensor) -> Tensor:
            y = torch.zeros(uniforms.shape, dtype=torch.bool, device="cpu")
            share, _, items, counts = self._tables(theta, mask)
            run_tensors(subset_draws, share, items, counts, uniforms, y)
            return y

        return by_rows(block, self.n * (self.k + 1), theta, mask, uniforms)

    def _uniforms(self) -> int:
        return self.n

    def _tables(self, theta: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The shares of each item and count, the allowed items, and how many these are."""
        share, rest = theta.new_zeros(2, len(theta), self.n, self.k + 1).unbind()
        items = torch.zeros(theta.shape, dtype=torch.int64, device="cpu")
        counts = torch.zeros(len(theta), dtype=torch.int64, device="cpu")
        if self.k > 0:
            self._run(subset_shares, theta, mask, share, rest, items, counts)
        return share, rest, items, counts

    def _run(self, kernel: Callable[..., None], theta: Tensor, mask: Tensor | None, *tensors: Tensor) -> None:
        allowed = (
            torch.ones(theta.shape, dtype=torch.bool, device="cpu")
            if mask is None
            else mask.reshape(theta.shape).contiguous()
        )
        run_tensors(kernel, theta.detach(), allowed, *tensors, self.k)


def _convolve(first: Tensor, second: Tensor, size: int) -> Tensor:
    """The chances ``(..., at most size)`` of each sum of two counts, from those ``(..., d)`` of each of them."""
    d = first.shape[-1]
    size = min(2 * d - 1, size)
    windows = F.pad(second, (size - 1, size - d)).unfold(-1, size, 1)  # [..., s, c] = second[c + s + 1 - size]
    shifted = windows[..., size - d : size, :].flip(-2)  # [..., j, c] = second[c - j]
    return (first.unsqueeze(-2) @ shifted).squeeze(-2)
