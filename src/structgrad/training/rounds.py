"""Rounds over shuffled data, resumable in the middle of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch

from structgrad.training.state import Stateful


class Rounds(Stateful, ABC):
    """Round after round, each shuffled anew; ``at`` is the place within the round.

    A checkpoint holds where the generator stood when the round began, not the order itself.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.begin()

    @abstractmethod
    def shuffle(self) -> None:
        """Draw the order of a round from the generator."""

    def begin(self) -> None:
        """Begin another round."""
        self.begun, self.at = self.generator.get_state(), 0
        self.shuffle()

    def state(self) -> dict[str, Any]:
        return {"begun": self.begun, "at": self.at}

    def restore(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["begun"])
        self.begin()
        self.at = state["at"]
