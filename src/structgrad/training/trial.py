"""One network that trains by itself: what an experiment has to say of it to a search, or to a run of epochs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from structgrad.finite import all_finite
from structgrad.training.results import Example, Report
from structgrad.training.state import Stateful


class DivergedError(Exception):
    """A trial's numbers are no longer finite; it ends, its siblings go on."""


def finite(value: Tensor, what: str) -> Tensor:
    """The tensor itself.

    Raises:
        DivergedError: an entry is infinite or NaN.
    """
    if not all_finite(value):
        raise DivergedError(f"{what} is not finite")
    return value


class Trial(Stateful, ABC):
    """One network that trains at one point of a search, or with nothing to search
    (:class:`structgrad.training.epochs.Epochs`). Its numbers must not depend on when it is saved.

    ``kept`` names what later steps depend on besides network and optimiser: generators, the place in the data.

    Attributes:
        network: what learns; a search keeps its weights of the best validation.
        optimizer: of the network.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer

    @abstractmethod
    def update(self) -> float:
        """One step of the optimiser: the loss before it.

        Raises:
            DivergedError: it is not finite.
        """

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Numbers on the validation data, a search's objective among them; the same for the same weights.

        Where nothing is selected they may be of the test data: a curve of the paper's.
        """

    @abstractmethod
    def test(self) -> Mapping[str, Report]:
        """The record's metrics, on the test data; the same for the same weights."""

    @abstractmethod
    def describe(self) -> dict[str, float]:
        """The point of the search, and what else the record should hold."""

    def examples(self) -> Sequence[Example]:
        """What the record shows of a few test items with what is predicted for them; by default nothing."""
        return ()
