"""The hyper-parameters of artificial rankings."""

from __future__ import annotations

from dataclasses import dataclass

from structgrad.experiments.berthet.rankings.hyper_parameters import RankingParameters
from structgrad.experiments.hyper_parameters import Count


@dataclass(frozen=True, kw_only=True)
class ArtificialParameters(RankingParameters):
    """Of Figures 4, 7 and 8 (docs/protocols/berthet.md, 4).

    Attributes:
        labels: how many are ranked.
        features: of an item.
        train, validation, test: rows.
        curve_points: epochs, some, at which the test rows are scored.
    """

    labels: Count
    features: Count
    train: Count
    validation: Count
    test: Count
    curve_points: Count
