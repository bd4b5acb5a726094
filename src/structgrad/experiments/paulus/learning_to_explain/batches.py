"""Batches of reviews that are about as long as each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from structgrad.experiments.paulus.learning_to_explain.reviews import Reviews
from structgrad.training.rounds import Rounds


@dataclass(frozen=True)
class Batch:
    """``tokens`` and ``inside`` ``(B, n)``, padded to the longest; ``lengths`` and ``ratings`` ``(B,)``."""

    tokens: Tensor
    inside: Tensor | None
    lengths: Tensor
    ratings: Tensor

    @cached_property
    def present(self) -> Tensor:
        """The words, without padding, ``(B, n)`` boolean."""
        return self._first(self.lengths)

    def choosable(self, k: int) -> Tensor:
        """What a k-subset may hold, ``(B, n)`` boolean: words, and padding only where there are fewer than k words."""
        return self._first(self.lengths.clamp(min=k))

    def _first(self, counts: Tensor) -> Tensor:
        return torch.arange(self.tokens.shape[1], device=self.tokens.device) < counts.unsqueeze(-1)


def batch_of(reviews: Reviews, rows: np.ndarray, least: int, device: str = "cpu") -> Batch:
    """Those rows as a batch of at least ``least`` columns."""
    chosen = reviews[rows]
    width = max(int(chosen.lengths.max()), least)
    tokens, inside = (
        None if part is None else torch.from_numpy(_wide(part, width)).to(device)
        for part in (chosen.tokens, chosen.inside)
    )
    assert tokens is not None
    lengths, ratings = (torch.from_numpy(part).to(device) for part in (chosen.lengths, chosen.ratings))
    return Batch(tokens.long(), inside, lengths, ratings)


def _wide(part: np.ndarray, width: int) -> np.ndarray:
    missing = max(0, width - part.shape[1])
    return np.ascontiguousarray(np.pad(part, ((0, 0), (0, missing)))[:, :width])


def sorted_batches(reviews: Reviews, size: int, least: int, device: str = "cpu") -> Iterator[tuple[np.ndarray, Batch]]:
    """All reviews once, the shortest first, and their rows: for evaluation."""
    order = np.argsort(reviews.lengths, kind="stable")
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield rows, batch_of(reviews, rows, least, device)


class Shuffle(Rounds):
    """Epochs of batches by length: shuffled, cut into pools, and each pool sorted into batches that come in any order.

    The last batch of an epoch may be smaller.
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
