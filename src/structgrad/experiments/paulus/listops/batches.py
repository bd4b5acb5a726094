"""Batches of expressions that are about as long as each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from structgrad.experiments.paulus.listops.expressions import Expressions
from structgrad.experiments.paulus.listops.vocabulary import CLOSE
from structgrad.training.rounds import Rounds


@dataclass(frozen=True)
class Batch:
    """``tokens`` and ``parents`` ``(B, n)``, padded to the longest; ``lengths`` and ``values`` ``(B,)``."""

    tokens: Tensor
    parents: Tensor
    lengths: Tensor
    values: Tensor

    @cached_property
    def parse(self) -> Tensor:
        """The true edges, ``(B, n, n)`` boolean: from each operator i to its operands j."""
        places = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        return self.parents.unsqueeze(-2) == places.unsqueeze(-1)

    @cached_property
    def inside(self) -> Tensor:
        """The pairs of symbols without padding, ``(B, n, n)`` boolean."""
        return _pairs(self._present)

    @cached_property
    def scored(self) -> Tensor:
        """The pairs that count, ``(B, n, n)`` boolean: without padding and closing brackets (paulus, Table 2)."""
        return _pairs(self._present & (self.tokens != CLOSE))

    @cached_property
    def depths(self) -> Tensor:
        """How far each symbol lies below the first one in the parse, ``(B, n)``; -1: padding."""
        depths = self._present.long() - 1
        above = self.parents
        while bool((above >= 0).any()):
            depths += above >= 0
            above = torch.where(above >= 0, self.parents.gather(1, above.clamp(min=0)), -1)
        return depths

    @property
    def _present(self) -> Tensor:
        return torch.arange(self.tokens.shape[1], device=self.tokens.device) < self.lengths.unsqueeze(-1)


def _pairs(of: Tensor) -> Tensor:
    return of.unsqueeze(-1) & of.unsqueeze(-2)


def batch_of(expressions: Expressions, rows: np.ndarray, device: str = "cpu") -> Batch:
    """Those rows as a batch."""
    chosen = expressions[rows]
    width = int(chosen.lengths.max())
    parts = (chosen.tokens[:, :width], chosen.parents[:, :width], chosen.lengths, chosen.values)
    return Batch(*(torch.from_numpy(part.astype(np.int64)).to(device) for part in parts))


def sorted_batches(expressions: Expressions, size: int, device: str = "cpu") -> Iterator[Batch]:
    """All expressions once, the shortest first: for evaluation, where the order does not matter."""
    order = np.argsort(expressions.lengths, kind="stable")
    for start in range(0, len(order), size):
        yield batch_of(expressions, order[start : start + size], device)


class Shuffle(Rounds):
    """Epochs of batches by length: shuffled, cut into pools, and each pool sorted into batches that come in any order.

    A pool of some batches keeps the padding small (a tenth of the symbols with 10), while what meets in a batch
    changes from epoch to epoch.
    """

    def __init__(self, lengths: np.ndarray, size: int, pool: int, generator: torch.Generator) -> None:
        self.lengths, self.size, self.pool = torch.from_numpy(lengths), size, pool
        super().__init__(generator)

    def next(self) -> np.ndarray:
        """The rows of the next batch."""
        if self.at == len(self.order):
            self.begin()
        self.at += 1
        return self.order[self.at - 1].numpy()

    def shuffle(self) -> None:
        self.order: list[Tensor] = []
        for pool in torch.randperm(len(self.lengths), generator=self.generator).split(self.size * self.pool):
            batches = pool[self.lengths[pool].argsort(stable=True)].split(self.size)
            self.order += [batches[place] for place in torch.randperm(len(batches), generator=self.generator)]
