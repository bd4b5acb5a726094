"""All data sets and all points of the grid of one arm at one noise level, trained as one batched linear model."""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
from torch import Tensor

from structgrad.experiments.berthet.artificial_rankings.data import Data
from structgrad.experiments.berthet.artificial_rankings.hyper_parameters import ArtificialParameters
from structgrad.experiments.berthet.artificial_rankings.scores import METRICS, averages, report, right_labels
from structgrad.experiments.berthet.rankings.grid import Grid, glorot
from structgrad.experiments.berthet.rankings.losses import RankingLoss
from structgrad.experiments.berthet.rankings.rankers import Rankers
from structgrad.experiments.berthet.rankings.spearman import spearman
from structgrad.parallel import map_blocks
from structgrad.portable import mean, row_sums, total
from structgrad.training.job import Seeds
from structgrad.training.results import Result
from structgrad.training.seeds import generators


class ArtificialRankers(Rankers):
    """R data sets x learning rates x values of the arm's own hyper-parameter.

    At some epochs, closer together in the beginning, every point of the grid is scored on the test rows; which point's
    curve and score count is selected at the end, on the validation rows with their noisy labels.
    """

    kept = (*Rankers.kept, "curves", "losses")

    def __init__(self, config: ArtificialParameters, data: Data, loss: RankingLoss, seeds: Seeds) -> None:
        self.data, self.batch = data, config.batch_size
        _, features, labels = data.w0.shape
        starts = [glorot(features, labels, generator) for generator in generators(seeds["init"])]
        grid = Grid(loss, config.learning_rates, torch.stack(starts).unsqueeze(1), bias=False)
        super().__init__(grid, config.epochs, seeds)
        self.scored = _spread(self.epochs, config.curve_points)
        self.curves: list[Tensor] = []  # (R, rates, values, metrics) of each epoch in ``scored``
        self.losses: list[float] = []

    def step(self) -> tuple[Tensor, dict[str, float]]:
        """One epoch of every point of the grid on every data set."""
        train, every = self.data.train, torch.arange(self.replicas)[:, None]
        rows = torch.stack([torch.randperm(train.x.shape[1], generator=g) for g in self.shuffles])
        losses = [
            self.grid.update(train.x[every, some].unsqueeze(1), train.noisy[every, some].unsqueeze(1), self.noise)
            for some in rows.split(self.batch, 1)
            if some.shape[1] == self.batch  # a rest is left out: other rows in every epoch
        ]
        self.epoch += 1
        numbers = {"loss": total(losses) / len(losses)}
        if self.epoch in self.scored:
            self.curves.append(self._over_replicas(self._averages))
            self.losses.append(numbers["loss"])
            numbers["partial"] = mean(self.curves[-1][..., METRICS.index("partial_clean")].flatten(1).amax(-1))
        return self.over(), numbers

    def finish(self, done: Tensor) -> None:
        """Select a point of the grid for each data set, and report its score and its curve."""
        validation = self._over_replicas(self._validation)
        chosen = validation.flatten(1).argmax(-1)  # ties: the first point of the grid
        places = [divmod(int(point), len(self.grid.values)) for point in chosen]
        for replica, (rate, value) in enumerate(places):
            right = self._right(replica)[:, rate, value]
            point = self.grid.describe(replica, 0, rate, value)
            final = {**point, "validation": float(validation[replica, rate, value])}
            self.results.append(Result(self.epoch, "max_epochs", report(right, self.grid.labels), final))
        chosen_curves = [torch.stack(self.curves)[:, r, *place] for r, place in enumerate(places)]
        curves = reduce(torch.add, chosen_curves) / self.replicas
        self.history = {
            "epoch": list(map(float, self.scored)),
            "active": [float(self.replicas)] * len(self.scored),
            "loss": self.losses,
            **{name: curves[:, column].tolist() for column, name in enumerate(METRICS)},
        }

    @torch.no_grad()
    def _over_replicas(self, function: Any) -> Tensor:
        return torch.cat(map_blocks(lambda block: function(block.start).unsqueeze(0), self.replicas, 1))

    def _theta(self, x: Tensor, replica: int) -> Tensor:
        """Scores ``(n, rates, values, k)``."""
        return self.grid.scores(x[None, None], slice(replica, replica + 1))[0, 0].detach()

    def _right(self, replica: int) -> Tensor:
        """:func:`right_labels` of the test rows, ``(n, rates, values, 2)``."""
        test = self.data.test
        clean, noisy = (ranks[replica, :, None, None] for ranks in (test.clean, test.noisy))
        return right_labels(self._theta(test.x[replica], replica), clean, noisy)

    def _averages(self, replica: int) -> Tensor:
        return averages(self._right(replica), self.grid.labels)

    def _validation(self, replica: int) -> Tensor:
        """Mean Spearman correlation with the noisy ranks, ``(rates, values)``."""
        held = self.data.validation
        scores = spearman(self._theta(held.x[replica], replica), held.noisy[replica, :, None, None])
        return row_sums(scores.movedim(0, -1)) / len(scores)


def _spread(epochs: int, points: int) -> list[int]:
    """Some ``points`` epochs, even on a logarithmic scale, from the first to the last."""
    steps = torch.logspace(0, torch.tensor(float(epochs)).log10().item(), points, dtype=torch.float64)
    return sorted({round(step) for step in steps.tolist()} | {1, epochs})
