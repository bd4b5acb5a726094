"""The hyper-parameters of label ranking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from structgrad.experiments.berthet.rankings.hyper_parameters import RankingParameters
from structgrad.experiments.hyper_parameters import Count, Positive


@dataclass(frozen=True, kw_only=True)
class LabelRankingParameters(RankingParameters):
    """Of Tables 1 and 2 (docs/protocols/berthet.md, 3).

    Attributes:
        source: the published data sets, or stand-ins for them that are rebuilt offline.
        inner_folds: of the training rows of each outer fold, on which a point of the grid is selected.
        max_steps: of the optimiser, which ends the training of large sets before their epochs; None for no such end.
        memory_mb: for what grows with the data; changes no number.
    """

    source: Literal["published", "stand_in"]
    inner_folds: Count
    max_steps: Count | None
    memory_mb: Positive
