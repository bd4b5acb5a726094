"""The arms that train by direct loss: without noise, with learned sigma, with sigma fixed at one."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.experiments.indelman.sorting.data import Data, Sequences
from structgrad.experiments.indelman.sorting.hyper_parameters import SortingParameters
from structgrad.experiments.indelman.sorting.model import NoiseMagnitude
from structgrad.experiments.indelman.sorting.sorters import Sorters
from structgrad.losses.direct import DirectLoss
from structgrad.noise import Gumbel
from structgrad.portable import dots, row_sums
from structgrad.training.job import Seeds
from structgrad.training.seeds import generators


class DirectSorters(Sorters):
    """Direct loss on the whole training set, one optimiser step per epoch.

    The monitored loss is that of the perturbed argmax on the training set. The authors drop the 1/eps and sum over
    items, perturbations and scores: Adam does not see the factor, sigma's plain SGD does. Both backward passes of
    their code reach sigma, so its step is ``1e-6 (1 + 1/(S n d^2))`` times the sum
    (docs/protocols/indelman.md, 2.5).
    """

    kept = (*Sorters.kept, "epsilon", "magnitude")
    noise_roles = ("noise",)

    def __init__(self, config: SortingParameters, data: Data, seeds: Seeds, device: str = "cpu") -> None:
        super().__init__(config, data, seeds, device)
        count, n = data.train.x.shape[:2]
        assert config.epsilon is not None
        self.kind = config.sigma
        samples = config.samples if self.kind else 1
        noise = Gumbel(config.noise_scale) if self.kind else None
        self.direct = DirectLoss(self.matching, noise, samples, config.epsilon_growth, config.epsilon_cap)
        self.epsilon = torch.full((count,), config.epsilon, dtype=torch.float64, device=device)
        self.cost = COSTS[config.cost](self.data.train)
        self.sigma_of = NoiseMagnitude(self.d, generators(seeds["init_sigma"]), device)
        self.magnitude = self.sigma_of.parameters
        self.sigma_rate = (config.sigma_learning_rate or 0.0) * (1 + 1 / (samples * n * self.d**2))

    def sigma(self) -> Tensor | None:
        """The noise magnitudes ``(R, n)`` on the training set."""
        if self.kind == "learned":
            return self.sigma_of(self.data.train.x)
        return torch.ones_like(self.data.train.x[..., 0]) if self.kind else None

    def update(self) -> Tensor:
        sigma = self.sigma()
        scores = self.mean(self.data.train.x)
        step = self.direct(scores, self.cost, self.epsilon, self._task_loss, sigma, self.noise["noise"])
        self.epsilon = step.epsilon
        total = step.surrogate * (step.epsilon.abs() * self.direct.samples).to(torch.float32)
        self.adam.clear()
        self.magnitude.flat.grad = None
        total.sum().backward()
        self.adam.step()
        weights = self.magnitude.flat
        if weights.grad is not None:  # sigma learns, by plain gradient descent
            weights.data.sub_(weights.grad * self.sigma_rate)
        return step.loss

    def _task_loss(self, y: Tensor, rows: slice, items: slice) -> Tensor:
        """Mean squared error ``(r, m)`` between the sorted sequence and x rearranged by y, over samples and places."""
        x, target = self.data.train.x[rows, items], self.data.train.sorted[rows, items]
        rearranged = (x[:, :, None, :, None] * y).sum(-2)  # one number and zeros: exact in any order
        error = (rearranged - target[:, :, None]).flatten(2)
        return dots(error, error) / error.shape[-1]

    def final(self) -> dict[str, Tensor]:
        numbers = {"epsilon": self.epsilon}
        with torch.no_grad():
            sigma = self.sigma()
        if sigma is not None:
            numbers["sigma"] = row_sums(sigma) / sigma.shape[-1]
        return numbers

    def keep(self, mask: Tensor) -> None:
        super().keep(mask)
        self.epsilon, self.cost = self.epsilon[mask], self.cost[mask]
        self.magnitude.keep(mask)


def labels(data: Sequences) -> Tensor:
    """The right permutation ``y[order_j, j] = 1``, ``(R, n, d, d)``."""
    order = data.order.unsqueeze(-2)
    zeros = torch.zeros(*data.x.shape, data.x.shape[-1], device=data.x.device)
    return zeros.scatter_(-2, order, 1.0)


def column_squares(data: Sequences) -> Tensor:
    """``c_ij = x_j^2 (1 - 2 y_ij)``: the paper's formula and the authors' code, x_j being the j-th number as given.

    Column sums do not depend on the permutation, so this is a bonus on the right entries of random weight.
    """
    return data.x.unsqueeze(-2) ** 2 * (1 - 2 * labels(data))


def element_squares(data: Sequences) -> Tensor:
    """``c_ij = x_i^2 (1 - 2 y_ij)``: the weight belongs to the element that is placed (an ablation)."""
    return data.x.unsqueeze(-1) ** 2 * (1 - 2 * labels(data))


def exact(data: Sequences) -> Tensor:
    """``c_ij = (x_i - s_j)^2``: the squared error of placing element i at position j (an ablation)."""
    return (data.x.unsqueeze(-1) - data.sorted.unsqueeze(-2)) ** 2


COSTS = {"column_squares": column_squares, "element_squares": element_squares, "exact": exact}
