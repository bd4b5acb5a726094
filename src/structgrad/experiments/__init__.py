"""The published tables that can be reproduced: one file (or small package) each, registered here."""

from __future__ import annotations

from structgrad.experiments.base import Arm, Experiment, Metric
from structgrad.experiments.sorting.spec import TABLE_1A, TABLE_1B

REGISTRY: dict[str, Experiment] = {experiment.name: experiment for experiment in (TABLE_1A, TABLE_1B)}

__all__ = ["REGISTRY", "Arm", "Experiment", "Metric"]
