"""The Gumbel-Sinkhorn arms: on fresh sequences at every step, or on one fixed training set."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from structgrad.experiments.sorting.data import Data, Sequences, sequences
from structgrad.experiments.sorting.learner import Learner
from structgrad.layers.gumbel_sinkhorn import GumbelSinkhorn
from structgrad.parallel import map_blocks

BLOCK = 1 << 18  # relaxed scores a worker handles at once


class SinkhornLearner(Learner):
    """Mean squared error of the sequence rearranged by the soft permutation, over samples, sequences and places.

    The released Gumbel-Sinkhorn code draws new sequences at every step; the text of the paper describes one fixed
    training set. Both are arms.
    """

    noise_roles = ("noise", "fresh")

    def __init__(self, config: dict[str, Any], data: Data, seeds: dict[str, list[int]], device: str = "cpu") -> None:
        super().__init__(config, data, seeds, device)
        self.layer = GumbelSinkhorn(self.d, config["temperature"], config["sinkhorn_iterations"], config["samples"])

    def update(self) -> Tensor:
        batch = self._batch()
        scores = self.mean(batch.x)
        size = max(1, BLOCK // (scores[0].numel() * self.config["samples"]))
        parts = map_blocks(lambda rows: self._block(rows, scores.detach(), batch), len(scores), size)
        loss, gradient = (torch.cat(column) for column in zip(*parts, strict=True))
        self.adam.zero_grad()
        scores.backward(gradient)
        self.adam.step()
        return loss

    def _batch(self) -> Sequences:
        if self.config["training_set"] == "fixed":
            return self.data.train
        shape = self.data.train.x.shape[1:]
        return sequences(torch.stack([torch.rand(shape, generator=g, device=self.device) for g in self.noise["fresh"]]))

    @torch.enable_grad()
    def _block(self, rows: slice, scores: Tensor, batch: Sequences) -> tuple[Tensor, Tensor]:
        """Losses ``(r,)`` and their gradients ``(r, n, d, d)`` with respect to the scores of some replicas."""
        n = scores.shape[1]
        items = max(1, BLOCK // (self.d**2 * self.config["samples"]))
        losses, gradients = [], []
        for start in range(0, n, items):
            part = slice(start, min(start + items, n))
            mu = scores[rows, part].clone().requires_grad_()
            plan = self.layer(mu, self.noise["noise"][rows])
            rearranged = (batch.x[rows, part][:, :, None, :, None] * plan).sum(-2)
            error = (rearranged - batch.sorted[rows, part][:, :, None]) ** 2
            loss = error.flatten(2).mean(-1) / n
            (gradient,) = torch.autograd.grad(loss.sum(), mu)
            losses.append(loss.detach().double())
            gradients.append(gradient)
        return torch.cat(losses, 1).sum(1), torch.cat(gradients, 1)
