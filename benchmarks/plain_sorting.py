"""One replica of indelman's sorting experiment as one would write it by hand: nn.Module, autograd, a scipy loop.

The peer that the batched implementation is timed and checked against. It shares no code with the package.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn


def solve(scores: torch.Tensor) -> torch.Tensor:
    """The best permutation matrix of each score matrix ``(batch, d, d)``."""
    y = torch.zeros_like(scores)
    for b, matrix in enumerate(scores.double().numpy()):
        rows, columns = linear_sum_assignment(matrix, maximize=True)
        y[b, rows, columns] = 1
    return y


class Plain:
    """Networks, data and optimisers of one replica."""

    def __init__(self, d: int, n: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.d, self.n = d, n
        self.mean = nn.Sequential(nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, d))
        self.adam = torch.optim.Adam(self.mean.parameters(), lr=0.1)
        self.x = torch.rand(n, d)
        self.sorted, self.order = self.x.sort(dim=-1, descending=True)

    def scores(self, x: torch.Tensor) -> torch.Tensor:
        return self.mean(x.unsqueeze(-1))

    def percent_perfect(self, sequences: int) -> float:
        """Share of new sequences that the argmax of the mean scores sorts without a mistake."""
        x = torch.rand(sequences, self.d)
        with torch.no_grad():
            y = solve(self.scores(x))
        return 100 * float((y.argmax(-2) == x.argsort(-1, descending=True)).all(-1).float().mean())


class PlainDirect(Plain):
    """Direct loss; ``samples`` perturbations with learned sigma, or none."""

    def __init__(self, d: int, n: int, seed: int, samples: int = 0, epsilon: float = 12.0) -> None:
        super().__init__(d, n, seed)
        self.samples, self.epsilon = samples, epsilon
        self.magnitude = nn.Sequential(nn.Linear(d, 1), nn.Softplus())
        self.sgd = torch.optim.SGD(self.magnitude.parameters(), lr=1e-6)
        label = torch.zeros(n, d, d).scatter_(1, self.order.unsqueeze(1), 1.0)
        self.bonus = self.x.unsqueeze(1) ** 2 * (2 * label - 1)

    def epoch(self) -> float:
        """One step; the loss of the perturbed argmax."""
        repeats = max(self.samples, 1)
        theta = self.scores(self.x).repeat(repeats, 1, 1)
        if self.samples:
            beta = math.sqrt(18) / math.pi
            noise = torch.distributions.Gumbel(-0.5772156649 * beta, beta).sample(theta.shape)
            theta = theta + self.magnitude(self.x).repeat(repeats, 1).unsqueeze(-1) * noise
        fixed, bonus = theta.detach(), self.bonus.repeat(repeats, 1, 1)
        y = solve(fixed)
        rearranged = (self.x.repeat(repeats, 1).unsqueeze(-1) * y).sum(-2)
        loss = float(((rearranged - self.sorted.repeat(repeats, 1)) ** 2).mean())
        better = solve(fixed + self.epsilon * bonus)
        while loss > 0 and torch.equal(y, better) and self.epsilon < 1e6:
            self.epsilon *= 1.1
            better = solve(fixed + self.epsilon * bonus)
        surrogate = (theta * (y - better)).sum()
        self.adam.zero_grad()
        self.sgd.zero_grad()
        (surrogate + surrogate / theta.numel()).backward()
        self.adam.step()
        self.sgd.step()
        return loss

    def train(self, patience: int = 50, epochs: int = 2000) -> int:
        """Until the loss has not improved for ``patience`` epochs; the number of epochs."""
        best, waited = np.inf, 0
        for epoch in range(1, epochs + 1):
            loss = self.epoch()
            best, waited = (loss, 0) if loss < best else (best, waited + 1)
            if waited >= patience:
                return epoch
        return epochs


class PlainSinkhorn(Plain):
    """Gumbel-Sinkhorn in log space, on fresh sequences or on the fixed ones."""

    def __init__(self, d: int, n: int, seed: int, fresh: bool = True) -> None:
        super().__init__(d, n, seed)
        self.fresh = fresh

    def epoch(self, samples: int = 10, rounds: int = 20) -> float:
        """One step; its loss."""
        x = torch.rand(self.n, self.d) if self.fresh else self.x
        target = x.sort(dim=-1, descending=True).values
        scores = self.scores(x).unsqueeze(1)
        log_plan = scores - torch.log(-torch.log(torch.rand(self.n, samples, self.d, self.d) + 1e-20) + 1e-20)
        for _ in range(rounds):
            log_plan = log_plan - log_plan.logsumexp(-1, keepdim=True)
            log_plan = log_plan - log_plan.logsumexp(-2, keepdim=True)
        rearranged = (x[:, None, :, None] * log_plan.exp()).sum(-2)
        loss = ((rearranged - target[:, None]) ** 2).mean()
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        return float(loss.detach())

    def train(self, epochs: int = 500) -> int:
        """The fixed number of steps."""
        for _ in range(epochs):
            self.epoch()
        return epochs
