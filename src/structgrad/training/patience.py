"""Early stopping, one clock per replica."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.training.state import Stateful


class Patience(Stateful):
    """A replica stops when its monitored loss has not fallen below its best for ``patience`` steps in a row.

    The authors' rule (indelman code): the counter grows on every step that is not strictly better, and is set back
    on improvement. ``patience=None`` never stops.
    """

    kept = ("best", "waited")

    def __init__(self, replicas: int, patience: int | None) -> None:
        self.patience = patience
        self.best = torch.full((replicas,), torch.inf, dtype=torch.float64)
        self.waited = torch.zeros(replicas, dtype=torch.int64)

    def update(self, loss: Tensor) -> Tensor:
        """Note the losses (R,) of this step; the mask (R,) of replicas that stop now."""
        better = loss < self.best
        self.best = torch.where(better, loss, self.best)
        self.waited = torch.where(better, 0, self.waited + 1)
        if self.patience is None:
            return torch.zeros_like(better)
        return self.waited >= self.patience

    def keep(self, mask: Tensor) -> None:
        """Drop the replicas outside ``mask``."""
        self.best, self.waited = self.best[mask], self.waited[mask]
