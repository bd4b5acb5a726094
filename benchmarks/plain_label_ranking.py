"""berthet's label ranking as one would write it by hand: one nn.Linear at a time, loops over folds and the grid.

The peer that the batched implementation is timed and checked against. It shares no code with the package. What is
random lies in methods of its own, which a test replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import nn

Noise = Callable[[tuple[int, ...]], torch.Tensor]
Gradient = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Point = tuple[int, int]  # which learning rate, which value of the loss's own hyper-parameter


def ranks(theta: torch.Tensor) -> torch.Tensor:
    """Ascending: ``k - 1`` for the largest score."""
    return theta.argsort(-1).argsort(-1).to(theta.dtype)


def spearman(theta: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The correlation of each row."""
    k = y.shape[-1]
    return 1 - 6 * ((ranks(theta) - y).double() ** 2).sum(-1) / (k * (k**2 - 1))


# Gradients of the losses in the scores, one a row of theta (items, k).


def squared(theta: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return theta - y


def fenchel_young(theta: torch.Tensor, y: torch.Tensor, noise: Noise, samples: int, epsilon: float) -> torch.Tensor:
    z = noise((len(theta), samples, theta.shape[-1]))
    return ranks(theta.unsqueeze(1) + epsilon * z).mean(1) - y


def perturbed_squared(theta: torch.Tensor, y: torch.Tensor, noise: Noise, samples: int, epsilon: float) -> torch.Tensor:
    """Proposition 3.1 on the residual; each sample's weight less the mean of the others'."""
    z = noise((len(theta), samples, theta.shape[-1]))
    found = ranks(theta.unsqueeze(1) + epsilon * z)
    residual = found.mean(1, keepdim=True) - y.unsqueeze(1)
    weight = (found * residual).sum(-1, keepdim=True)
    others = (weight.sum(1, keepdim=True) - weight) / (samples - 1)
    return ((weight - others) * z / epsilon).mean(1)


def perturbed_squared_plain(
    theta: torch.Tensor, y: torch.Tensor, noise: Noise, samples: int, epsilon: float
) -> torch.Tensor:
    """Proposition 3.1 as it stands."""
    z = noise((len(theta), samples, theta.shape[-1]))
    found = ranks(theta.unsqueeze(1) + epsilon * z)
    weight = (found * (found.mean(1, keepdim=True) - y.unsqueeze(1))).sum(-1, keepdim=True)
    return (weight * z / epsilon).mean(1)


def blackbox(theta: torch.Tensor, y: torch.Tensor, step: float) -> torch.Tensor:
    """Scores are maximised: against the incoming gradient is towards solutions of less loss."""
    found = ranks(theta)
    return (found - ranks(theta - step * (found - y))) / step


def blackbox_mirrored(theta: torch.Tensor, y: torch.Tensor, step: float) -> torch.Tensor:
    """The form for costs, on scores."""
    found = ranks(theta)
    return (ranks(theta + step * (found - y)) - found) / step


class Plain:
    """Nested cross-validation of one loss on one data set."""

    def __init__(
        self,
        x: torch.Tensor,
        y: torch.Tensor,
        loss: str,
        rates: list[float],
        values: list[float],
        epochs: int,
        inner: int = 5,
        samples: int = 16,
        batch: int = 32,
        seed: int = 0,
    ) -> None:
        torch.manual_seed(seed)
        self.x, self.y, self.loss, self.rates, self.values = x, y, loss, rates, values
        self.inner, self.samples, self.batch = inner, samples, batch
        self.steps = epochs * (len(x) * 9 // 10 // batch)
        self.outer = torch.randperm(len(x)).tensor_split(10)

    def folds(self, number: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Rows to train and to score on: the inner folds, then the outer one."""
        rest = torch.cat([part for i, part in enumerate(self.outer) if i != number])
        parts = rest.tensor_split(self.inner)
        inner = [(torch.cat([p for i, p in enumerate(parts) if i != held]), parts[held]) for held in range(self.inner)]
        return [*inner, (rest, self.outer[number])]

    def model(self, number: int, fit: int) -> nn.Linear:
        model = nn.Linear(self.x.shape[1], self.y.shape[1])
        nn.init.xavier_uniform_(model.weight)
        nn.init.zeros_(model.bias)
        return model

    def batches(self, number: int, fit: int, rows: torch.Tensor) -> Iterator[torch.Tensor]:
        """Full batches, shuffle after shuffle, as many for an inner fold as for the outer one."""
        done = 0
        while done < self.steps:
            for some in rows[torch.randperm(len(rows))].split(self.batch):
                if len(some) == self.batch and done < self.steps:
                    done += 1
                    yield some

    def noise(self, number: int, fit: int, point: Point) -> Noise:
        return torch.randn

    def gradient(self, number: int, fit: int, point: Point) -> Gradient:
        value = self.values[point[1]]
        if self.loss == "squared":
            return squared
        if self.loss == "blackbox":
            return partial(blackbox, step=value)
        if self.loss.endswith("of_batch"):  # lambda times the gradient of the batch's mean
            form = {"blackbox_of_batch": blackbox, "blackbox_mirrored_of_batch": blackbox_mirrored}[self.loss]
            return lambda theta, y: form(theta, y, value / len(theta))
        loss = {
            "fenchel_young": fenchel_young,
            "perturbed_squared": perturbed_squared,
            "perturbed_squared_plain": perturbed_squared_plain,
        }[self.loss]
        return partial(loss, noise=self.noise(number, fit, point), samples=self.samples, epsilon=value)

    def train(self, number: int, fit: int, point: Point, rows: torch.Tensor) -> nn.Linear:
        model, gradient = self.model(number, fit), self.gradient(number, fit, point)
        adam = torch.optim.Adam(model.parameters(), lr=self.rates[point[0]])
        for some in self.batches(number, fit, rows):
            theta = model(self.x[some])
            adam.zero_grad()
            theta.backward(gradient(theta.detach(), self.y[some]) / len(some))
            adam.step()
        return model

    @torch.no_grad()
    def score(self, model: nn.Linear, rows: torch.Tensor) -> float:
        return float(spearman(model(self.x[rows]), self.y[rows]).mean())

    def evaluate(self, number: int, fit: int, point: Point) -> float:
        """The Spearman correlation of a model on the rows held out from it."""
        train, held = self.folds(number)[fit]
        return self.score(self.train(number, fit, point, train), held)

    def select(self, number: int) -> tuple[Point, float]:
        """The point of the grid with the best mean over the inner folds, and that mean."""
        best, highest = (0, 0), -2.0
        for rate in range(len(self.rates)):
            for value in range(len(self.values)):
                mean = sum(self.evaluate(number, fit, (rate, value)) for fit in range(self.inner)) / self.inner
                if mean > highest:
                    best, highest = (rate, value), mean
        return best, highest

    def run(self, number: int) -> tuple[Point, float, float]:
        """One outer fold: the selected point, its mean over the inner folds and its test score."""
        point, validation = self.select(number)
        return point, validation, self.evaluate(number, self.inner, point)
