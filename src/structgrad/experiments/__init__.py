"""The published tables and figures that can be reproduced: one file (or small package) each, registered here."""

from __future__ import annotations

from structgrad.experiments.artificial_rankings.spec import ARTIFICIAL
from structgrad.experiments.base import Arm, Experiment, Metric
from structgrad.experiments.figures import Figure, Lines, Progress, Scatter
from structgrad.experiments.graph_layout.spec import TABLE_1
from structgrad.experiments.label_ranking.spec import BERTHET_1, BERTHET_2
from structgrad.experiments.listops.spec import TABLE_2
from structgrad.experiments.nearest_neighbours.spec import TABLE_2 as INDELMAN_2
from structgrad.experiments.sorting.spec import TABLE_1A, TABLE_1B

REGISTRY: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (TABLE_1A, TABLE_1B, INDELMAN_2, BERTHET_1, BERTHET_2, ARTIFICIAL, TABLE_1, TABLE_2)
}

__all__ = ["REGISTRY", "Arm", "Experiment", "Figure", "Lines", "Metric", "Progress", "Scatter"]
