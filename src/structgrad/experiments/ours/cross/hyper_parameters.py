"""The hyper-parameters of the comparison at equal maximiser calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from structgrad.experiments.hyper_parameters import Box, Count, HyperParameters

MethodName = Literal["fenchel_young", "direct", "blackbox", "squared", "stochastic_softmax", "reinforce"]
Searched = Literal["learning_rate", "noise", "step", "temperature"]


@dataclass(frozen=True, kw_only=True)
class CrossParameters(HyperParameters):
    """Of the table ``cross`` (docs/cross.md).

    Attributes:
        method: how it learns; None learns nothing.
        source: of label rankings: the published data sets, or stand-ins for two of them that are rebuilt offline.
        train, validation, test: examples where data is generated (sequences and maps); data sets are cut as they come.
        hidden: width of the networks' hidden layer.
        batch_size: examples per step.
        budget: maximiser calls per training.
        points: how often quality is recorded: after the whole budget, half of it, a quarter and so on.
        samples: draws of noise per example and step.
        search: the box of each hyper-parameter that is tuned.
    """

    method: MethodName | None = None
    source: Literal["published", "stand_in"]
    train: Count
    validation: Count
    test: Count
    hidden: Count
    batch_size: Count
    budget: Count
    points: Count
    samples: Count = 1
    search: dict[Searched, Box]
