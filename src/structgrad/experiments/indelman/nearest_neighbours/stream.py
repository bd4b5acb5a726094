"""An endless stream of shuffled rows: every row once, in a new order, then every row again."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.training.rounds import Rounds


class Stream(Rounds):
    """Rows ``0 .. size - 1``; a batch may span two rounds."""

    def __init__(self, size: int, generator: torch.Generator) -> None:
        self.size = size
        super().__init__(generator)

    def next(self, count: int) -> Tensor:
        """The next ``count`` rows."""
        parts = []
        while count:
            if self.at == self.size:
                self.begin()
            part = self.order[self.at : self.at + count]
            self.at += len(part)
            count -= len(part)
            parts.append(part)
        return torch.cat(parts)

    def shuffle(self) -> None:
        self.order = torch.randperm(self.size, generator=self.generator)
