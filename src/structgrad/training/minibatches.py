"""Rows of a data set in batches, epoch after epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.training.rounds import Rounds


class Minibatches(Rounds):
    """Rows ``0 .. rows - 1``: each once an epoch, in a new order, ``size`` at a time and the rest as a last batch."""

    def __init__(self, rows: int, size: int, generator: torch.Generator) -> None:
        self.rows, self.size = rows, size
        super().__init__(generator)

    def __len__(self) -> int:
        """How many there are in an epoch."""
        return -(-self.rows // self.size)

    def next(self) -> Tensor:
        """The rows of the next batch."""
        if self.at >= self.rows:
            self.begin()
        batch = self.order[self.at : self.at + self.size]
        self.at += self.size
        return batch

    def shuffle(self) -> None:
        self.order = torch.randperm(self.rows, generator=self.generator)
