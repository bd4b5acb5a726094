"""Learning to explain as one would write it first: what ours is checked against.

A review after the other, without padding: convolutions as sums over shifted words, subsets by enumeration (exponential
family), by bisection and the closed form on the free words (Euclidean, entropies), or by the formulas of their papers
(L2X, SoftSub). For short reviews only. It shares no code with the package. Noise and dropout come from outside.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, pairwise

import torch
from torch import Tensor, nn


class Plain(nn.Module):
    """``layers`` convolutions of ``width`` filters before the one that scores; the predictor has ``filters``."""

    def __init__(self, relaxation: str, inputs: int, width: int, filters: int, layers: int) -> None:
        super().__init__()
        sizes = [inputs] + [width] * layers
        self.hidden = nn.ModuleList(nn.Linear(3 * a, b) for a, b in pairwise(sizes))
        self.score = nn.Linear(sizes[-1], 3 if relaxation == "correlated" else 1)
        self.first, self.second = nn.Linear(3 * inputs, filters), nn.Linear(3 * filters, filters)
        self.dense, self.out = nn.Linear(filters, filters), nn.Linear(filters, 1)
        self.relaxation = relaxation

    def forward(
        self, x: Tensor, k: int, t: float, noise: Tensor, dropped: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The rating and the soft subset of one review of vectors ``(n, d)``; noise ``(n,)``, of L2X ``(k, n)``."""
        state = x * dropped[0]
        for layer in self.hidden:
            state = convolved(layer, state)
        scores = self.score(state)
        words = scores[:, 0]
        if self.relaxation == "correlated":
            pairs = scores[:-1, 1] + scores[:-1, 2] * scores[1:, 2]
            chosen = enumerated((words + noise) / t, pairs / t, k)
        else:
            chosen = RELAXED[self.relaxation](words, noise, k, t)
        state = convolved(self.second, convolved(self.first, x * chosen[:, None]))
        pooled = state.max(0).values * dropped[1]
        return torch.sigmoid(self.out(torch.relu(self.dense(pooled))))[0], chosen


def convolved(layer: nn.Module, x: Tensor) -> Tensor:
    """Each word beside the one before and the one after it, zero where there is none; the layer; ReLU."""
    zero = torch.zeros_like(x[:1])
    return torch.relu(layer(torch.cat([torch.cat([zero, x[:-1]]), x, torch.cat([x[1:], zero])], 1)))


def enumerated(words: Tensor, pairs: Tensor, k: int) -> Tensor:
    """The mean of the exponential family over all k-subsets, with scores of neighbours."""
    subsets = torch.zeros(0, len(words), dtype=words.dtype)
    for chosen in combinations(range(len(words)), k):
        subsets = torch.cat(
            [subsets, torch.zeros(1, len(words), dtype=words.dtype).index_fill(1, torch.tensor(chosen), 1.0)]
        )
    weights = torch.softmax(subsets @ words + (subsets[:, 1:] * subsets[:, :-1]) @ pairs, 0)
    return weights @ subsets


def exponential(words: Tensor, noise: Tensor, k: int, t: float) -> Tensor:
    return enumerated((words + noise) / t, words.new_zeros(len(words) - 1), k)


def euclidean(words: Tensor, noise: Tensor, k: int, t: float) -> Tensor:
    """``clip(w - tau, 0, 1)``: on the free words tau is a mean."""
    w = (words + noise) / t
    soft = (w - bisected(lambda tau: (w - tau).clamp(0, 1).sum(), k)).clamp(0, 1).detach()
    free, ones = (soft > 0) & (soft < 1), (soft >= 1).sum()
    tau = (w[free].sum() - (k - ones)) / free.sum()
    return torch.where(free, w - tau, soft)


def categorical(words: Tensor, noise: Tensor, k: int, t: float) -> Tensor:
    """``min(1, exp(w - c))``: the free words share what the others leave as a softmax."""
    w = (words + noise) / t
    soft = torch.exp(w - bisected(lambda c: torch.exp(w - c).clamp(max=1).sum(), k)).clamp(max=1).detach()
    free = soft < 1
    return soft.masked_fill(free, 0.0).masked_scatter(free, (k - (~free).sum()) * torch.softmax(w[free], 0))


def binary(words: Tensor, noise: Tensor, k: int, t: float) -> Tensor:
    """``sigmoid(w - c)``: one step of Newton's method from the root carries the derivative."""
    w = (words + noise) / t
    c = bisected(lambda c: torch.sigmoid(w - c).sum(), k)
    soft = torch.sigmoid(w - c)
    c = c + (soft.sum() - k) / (soft * (1 - soft)).sum().detach()
    return torch.sigmoid(w - c)


def l2x(words: Tensor, noise: Tensor, k: int, t: float) -> Tensor:
    return torch.stack([torch.softmax((words + one) / t, 0) for one in noise]).max(0).values


def soft_sub(words: Tensor, noise: Tensor, k: int, t: float) -> Tensor:
    scores, total = words + noise, torch.zeros_like(words)
    for _ in range(k):
        share = torch.softmax(scores / t, 0)
        total = total + share
        scores = scores + torch.log1p(-share)
    return total


RELAXED = {
    "exponential": exponential,
    "euclidean": euclidean,
    "categorical": categorical,
    "binary": binary,
    "l2x": l2x,
    "soft_sub": soft_sub,
}


@torch.no_grad()
def bisected(total: Callable[[Tensor], Tensor], k: int) -> Tensor:
    """Where a decreasing function is k."""
    low, high = torch.tensor(-1e3), torch.tensor(1e3)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if total(middle) > k else (low, middle)
    return (low + high) / 2
