"""All folds and all points of the grid of one arm on one data set, trained as one batched affine model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from structgrad.data.label_ranking import LabelRanking
from structgrad.experiments.berthet.label_ranking.data import OUTER_FOLDS, Fold
from structgrad.experiments.berthet.label_ranking.hyper_parameters import LabelRankingParameters
from structgrad.experiments.berthet.rankings.grid import Grid, glorot
from structgrad.experiments.berthet.rankings.losses import RankingLoss
from structgrad.experiments.berthet.rankings.rankers import Rankers
from structgrad.experiments.berthet.rankings.spearman import correlation, spearman
from structgrad.parallel import map_blocks
from structgrad.polytopes.permutahedron import Permutahedron
from structgrad.portable import mean, total
from structgrad.training.job import Seeds
from structgrad.training.results import Mean, Result
from structgrad.training.seeds import generators

FLOAT = 4  # bytes


class FoldRankers(Rankers):
    """R outer folds x (inner folds + 1) fits x learning rates x values of the arm's own hyper-parameter.

    A step is one epoch over the outer training set. Every fit takes the same number of optimiser steps, so that an
    inner fold is trained as the final fit is; each runs through shuffles of its own rows.
    """

    kept = (*Rankers.kept, "history")

    def __init__(
        self, config: LabelRankingParameters, data: LabelRanking, folds: Sequence[Fold], loss: RankingLoss, seeds: Seeds
    ) -> None:
        self.folds = folds
        self.x = torch.from_numpy(data.features).float()
        self.y = torch.from_numpy(data.ranks).float()
        self.fits = len(folds[0].fits)
        rows = len(self.x)  # sizes from the number of rows alone: nothing depends on which folds are here
        self.batch = min(config.batch_size, (rows - -(-rows // OUTER_FOLDS)) * (self.fits - 2) // (self.fits - 1))
        self.steps = max(1, (rows - -(-rows // OUTER_FOLDS)) // self.batch)
        limit = config.max_steps or config.epochs * self.steps
        epochs = max(1, min(config.epochs, round(limit / self.steps)))
        starts = [
            torch.stack([glorot(self.x.shape[1], self.y.shape[1], generator) for _ in range(self.fits)])
            for generator in generators(seeds["init"])
        ]
        super().__init__(Grid(loss, config.learning_rates, torch.stack(starts)), epochs, seeds)
        scores = len(self.grid.rates) * len(self.grid.values) * self.y.shape[1] * OUTER_FOLDS * (self.fits - 1)
        self.rows_at_once = max(1, int(config.memory_mb * 2**20) // (6 * FLOAT * scores))  # of each validation fold
        self.held = self._padded()
        self.history = {"epoch": [], "active": [], "loss": [], "validation": []}

    def step(self) -> tuple[Tensor, dict[str, float]]:
        """One epoch of every fit at every point of the grid."""
        rows = torch.stack([self._order(r) for r in range(len(self.folds))])
        losses = [self.grid.update(self.x[r], self.y[r], self.noise) for r in rows.unbind(2)]
        self.epoch += 1
        numbers = {
            "loss": total(losses) / self.steps,
            "validation": mean(self.validation().flatten(1).amax(-1)),
        }
        for key, value in {"epoch": self.epoch, "active": len(self.folds), **numbers}.items():
            self.history[key].append(value)
        return self.over(), numbers

    def _order(self, replica: int) -> Tensor:
        """The rows of every batch of the epoch, ``(fits, steps, batch)``: shuffles end to end, left-overs dropped."""
        generator, orders = self.shuffles[replica], []
        for rows in self.folds[replica].fits:
            whole, batches = len(rows) // self.batch * self.batch, []
            while sum(map(len, batches)) < self.steps * self.batch:
                batches.append(rows[torch.randperm(len(rows), generator=generator)[:whole]])
            orders.append(torch.cat(batches)[: self.steps * self.batch].view(self.steps, self.batch))
        return torch.stack(orders)

    def finish(self, done: Tensor) -> None:
        """Select on the inner folds, then score the chosen point's final fit on the outer test fold."""
        inner = reduce(torch.add, self.validation().unbind(1))  # in the order of the folds
        chosen = inner.flatten(1).argmax(-1)  # ties: the first point of the grid
        for replica, fold in enumerate(self.folds):
            rate, value = divmod(int(chosen[replica]), len(self.grid.values))
            scores = self._test(replica, fold.test)[:, rate, value]
            final = self.grid.describe(replica, self.fits - 1, rate, value)
            metrics = {"spearman": Mean.of(scores.tolist())}
            self.results.append(Result(self.epoch, "max_epochs", metrics, final))

    @torch.no_grad()
    def validation(self) -> Tensor:
        """Mean Spearman correlation on each inner validation fold, ``(R, inner folds, rates, values)`` float64."""
        rows, present = self.held

        def of_replicas(block: slice) -> Tensor:
            inner = slice(self.fits - 1)
            parts = zip(
                rows[block].split(self.rows_at_once, 2), present[block].split(self.rows_at_once, 2), strict=True
            )
            return sum(  # type: ignore[return-value]  # squares of whole numbers: exact in any order
                self._squares(self.grid.scores(self.x[some], block, inner), self.y[some], here) for some, here in parts
            )

        squares = torch.cat(map_blocks(of_replicas, len(self.folds), len(self.folds)))
        return correlation(squares / present.sum(2)[..., None, None], self.y.shape[1])

    @staticmethod
    def _squares(theta: Tensor, y: Tensor, present: Tensor) -> Tensor:
        """``sum d^2`` over ranks and those rows that are ``present``: ``(R, fits, rates, values)`` float64."""
        gap = Permutahedron(y.shape[-1]).argmax(theta) - y[:, :, :, None, None]
        return gap.square_().mul_(present[..., None, None, None]).sum(2, dtype=torch.float64).sum(-1)

    @torch.no_grad()
    def _test(self, replica: int, rows: Tensor) -> Tensor:
        """The correlation of each row under the final fits, ``(rows, rates, values)`` float64."""
        block, last = slice(replica, replica + 1), slice(self.fits - 1, self.fits)
        parts = []
        for some in rows.split(self.rows_at_once):
            theta = self.grid.scores(self.x[None, None, some], block, last)[0, 0]
            parts.append(spearman(theta, self.y[some][:, None, None]))
        return torch.cat(parts)

    def _padded(self) -> tuple[Tensor, Tensor]:
        """Every inner validation fold's rows ``(R, inner folds, longest)``, and which of them are no padding."""
        longest = -(-(len(self.x) - len(self.x) // OUTER_FOLDS) // (self.fits - 1))
        rows = torch.zeros(len(self.folds), self.fits - 1, longest, dtype=torch.long)
        present = torch.zeros(rows.shape)
        for replica, fold in enumerate(self.folds):
            for inner, held in enumerate(fold.validation):
                rows[replica, inner, : len(held)], present[replica, inner, : len(held)] = held, 1
        return rows, present
