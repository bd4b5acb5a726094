"""An endless stream of shuffled rows: every row once, in a new order, then every row again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Stream:
    """Rows ``0 .. size - 1``, shuffled anew each time around; a batch may span two rounds."""

    def __init__(self, size: int, generator: torch.Generator) -> None:
        self.size, self.generator = size, generator
        self._begin()

    def next(self, count: int) -> Tensor:
        """The next ``count`` rows."""
        parts = []
        while count:
            if self.at == self.size:
                self._begin()
            part = self.order[self.at : self.at + count]
            self.at += len(part)
            count -= len(part)
            parts.append(part)
        return torch.cat(parts)

    def state(self) -> dict[str, Any]:
        return {"begun": self.begun, "at": self.at}

    def restore(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["begun"])
        self._begin()
        self.at = state["at"]

    def _begin(self) -> None:
        self.begun, self.at = self.generator.get_state(), 0
        self.order = torch.randperm(self.size, generator=self.generator)
