"""The Gumbel-Sinkhorn arms: on fresh sequences at every step, or on one fixed training set."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from structgrad.experiments.indelman.sorting.data import Data, Sequences, sequences
from structgrad.experiments.indelman.sorting.hyper_parameters import SortingParameters
from structgrad.experiments.indelman.sorting.sorters import Sorters
from structgrad.layers.gumbel_sinkhorn import GumbelSinkhorn
from structgrad.parallel import map_blocks
from structgrad.portable import dots, product, row_sums
from structgrad.training.job import Seeds

BLOCK = 1 << 18  # relaxed scores a worker handles at once


class SinkhornSorters(Sorters):
    """Mean squared error of the sequence rearranged by the soft permutation, over samples, sequences and places.

    The released Gumbel-Sinkhorn code draws new sequences at every step; the text of the paper describes one fixed
    training set. Both are arms.
    """

    noise_roles = ("noise", "fresh")

    def __init__(self, config: SortingParameters, data: Data, seeds: Seeds, device: str = "cpu") -> None:
        super().__init__(config, data, seeds, device)
        self.layer = GumbelSinkhorn(self.d, config.temperature, config.sinkhorn_iterations)

    def update(self) -> Tensor:
        batch = self._batch()
        scores = self.mean(batch.x)
        size = max(1, BLOCK // (scores[0].numel() * self.config.samples))
        parts = map_blocks(lambda rows: self._block(rows, scores.detach(), batch), len(scores), size)
        loss, gradient = (torch.cat(column) for column in zip(*parts, strict=True))
        self.adam.clear()
        scores.backward(gradient)
        self.adam.step()
        return loss

    def _batch(self) -> Sequences:
        if self.config.training_set == "fixed":
            return self.data.train
        shape = self.data.train.x.shape[1:]
        return sequences(torch.stack([torch.rand(shape, generator=g, device=self.device) for g in self.noise["fresh"]]))

    @torch.enable_grad()
    def _block(self, rows: slice, scores: Tensor, batch: Sequences) -> tuple[Tensor, Tensor]:
        """Losses ``(r,)`` and their gradients ``(r, n, d, d)`` with respect to the scores of some replicas."""
        n, samples = scores.shape[1], self.config.samples
        items = max(1, BLOCK // (self.d**2 * samples))
        losses, gradients = [], []
        for start in range(0, n, items):
            part = slice(start, min(start + items, n))
            x, target = batch.x[rows, part, None], batch.sorted[rows, part, None]
            mu = scores[rows, part, None].expand(-1, -1, samples, -1, -1).detach().requires_grad_()
            plan = self.layer(mu, self.noise["noise"][rows])
            placed = x.expand(plan.shape[:-1])
            error = product(placed.flatten(0, 2).unsqueeze(1), plan.flatten(0, 2)).view(placed.shape) - target
            losses.append(dots(error.flatten(2), error.flatten(2)) / (samples * self.d * n))
            slope = error * (2 / (samples * self.d * n))
            (gradient,) = torch.autograd.grad(plan, mu, placed.unsqueeze(-1) * slope.unsqueeze(-2))
            gradients.append(reduce(torch.add, gradient.unbind(2)))  # in the order of the samples
        return row_sums(torch.cat(losses, 1)), torch.cat(gradients, 1)
