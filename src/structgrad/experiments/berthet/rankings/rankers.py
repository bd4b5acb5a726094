"""What label ranking and artificial rankings share: a grid of linear models that trains epoch by epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.experiments.berthet.rankings.grid import Grid
from structgrad.training.job import Seeds
from structgrad.training.results import Result
from structgrad.training.seeds import generators
from structgrad.training.trainee import Trainee


class Rankers(Trainee):
    """Every point of a grid on every replica; a step is one epoch, and all replicas end together."""

    kept = ("grid", "shuffles", "noise", "epoch")
    roles = ("data", "init", "shuffle", "noise")

    def __init__(self, grid: Grid, epochs: int, seeds: Seeds) -> None:
        self.grid, self.epochs, self.replicas = grid, epochs, grid.replicas
        self.shuffles, self.noise = generators(seeds["shuffle"]), generators(seeds["noise"])
        self.epoch = 0
        self.results: list[Result] = []
        self.history: dict[str, list[float]] = {}

    def active(self) -> int:
        return 0 if self.results else self.replicas

    @property
    def length(self) -> int:
        return self.epochs

    def over(self) -> Tensor:
        """The mask of the replicas that are done: all or none."""
        return torch.full((self.replicas,), self.epoch >= self.epochs)
