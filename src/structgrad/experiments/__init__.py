"""The published tables and figures that can be reproduced: a folder a paper, in it a folder a task."""

from __future__ import annotations

from structgrad.experiments.base import Arm, Experiment, Metric
from structgrad.experiments.discovery import experiments, papers
from structgrad.experiments.figures import ChosenWords, Figure, LearningCurves, Lines, PathMaps, Scatter, SearchTrials
from structgrad.experiments.paper import Paper

PAPERS: dict[str, Paper] = papers()
PUBLISHED = {name: paper for name, paper in PAPERS.items() if not paper.ours}  # those that print numbers
REGISTRY: dict[str, Experiment] = experiments(PAPERS)

__all__ = [
    "PAPERS", "PUBLISHED", "REGISTRY", "Arm", "ChosenWords", "Experiment", "Figure", "LearningCurves", "Lines",
    "Metric", "Paper", "PathMaps", "Scatter", "SearchTrials",
]  # fmt: skip
