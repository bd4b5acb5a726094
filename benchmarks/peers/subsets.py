"""Subsets of k of n in torch: log-space dynamic programmes, differentiated by autograd, and a projection by sorting."""

from __future__ import annotations

import torch
from torch import Tensor

NONE = -1e30  # the logarithm of nothing; -inf would make the second derivative NaN


def subset_log_partition(theta: Tensor, k: int) -> Tensor:
    """``log`` of the k-th elementary symmetric polynomial of ``exp(theta)``, ``(B,)``: one step per item."""
    batch, n = theta.shape
    table = theta.new_full((batch, k + 1), NONE)
    table[:, 0] = 0
    nothing = theta.new_full((batch, 1), NONE)
    for i in range(n):
        taken = torch.cat([nothing, table[:, :-1] + theta[:, i : i + 1]], 1)
        table = torch.logsumexp(torch.stack([table, taken]), 0)
    return table[:, k]


def chain_log_partition(theta: Tensor, n: int, k: int) -> Tensor:
    """The same with a score for each pair of neighbours that are both taken: ``theta`` holds n, then n - 1 scores."""
    batch = len(theta)
    single, pair = theta[:, :n, None], theta[:, n:, None]
    nothing = theta.new_full((batch, 1), NONE)
    out = theta.new_full((batch, k + 1), NONE)  # item i left out, by the number taken so far
    out[:, 0] = 0
    taken = torch.full_like(out, NONE)  # item i taken
    for i in range(n):
        best = torch.logsumexp(torch.stack([out, taken]), 0)
        with_pair = torch.logsumexp(torch.stack([out, taken + pair[:, i - 1]]), 0) if i else out
        taken = torch.cat([nothing, with_pair[:, :-1] + single[:, i]], 1)
        out = best
    return torch.logsumexp(torch.stack([out[:, k], taken[:, k]]), 0)


def project(theta: Tensor, k: int) -> Tensor:
    """The point of ``{0 <= y <= 1, sum y = k}`` nearest to ``theta``, by sorting the places where a coordinate clips.

    ``y_i = clip(theta_i - t, 0, 1)``, whose sum falls in t and is linear between the 2 n places.
    """
    places = torch.cat([theta - 1, theta], -1).sort(-1).values.contiguous()
    ordered = theta.sort(-1).values.contiguous()
    n = theta.shape[-1]
    above = n - torch.searchsorted(ordered, places, right=True)  # theta_i > t
    full = n - torch.searchsorted(ordered, places + 1, right=True)  # theta_i > t + 1
    sums = torch.nn.functional.pad(ordered.flip(-1).cumsum(-1), (1, 0))
    total = full + sums.gather(-1, above) - sums.gather(-1, full) - (above - full) * places
    at = (total >= k).sum(-1, keepdim=True) - 1  # the last place where the sum still reaches k
    high, low, left = (part.gather(-1, at) for part in (above, full, places))
    free = (high - low).clamp(min=1)
    inside = sums.gather(-1, high) - sums.gather(-1, low)
    threshold = torch.where(high > low, (low + inside - k) / free, left)
    return (theta - threshold).clamp(0, 1)
