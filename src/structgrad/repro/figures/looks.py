"""What an arm looks like: one colour, marker and dash in all figures of its paper."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from structgrad.experiments import REGISTRY, Experiment
from structgrad.repro.figures.drawing import COLOURS, MARKERS, stroke


@dataclass(frozen=True)
class Look:
    """How an arm's line and marks are drawn."""

    colour: str
    marker: str
    dash: Any


def look(experiment: Experiment, arm: str) -> Look:
    """The look of an arm that learns: by its place among those of its paper, in the order in which tables name them."""
    arms = _of_paper(experiment.paper)
    if arm not in arms or REGISTRY.get(experiment.name) is not experiment:
        arms = tuple(each.name for each in experiment.arms if not each.reference)
    place = arms.index(arm)
    lap, index = divmod(place, len(COLOURS))
    colour, dash = stroke(place)
    return Look(colour, MARKERS[(index + 3 * lap) % len(MARKERS)], dash)


@cache
def _of_paper(paper: str) -> tuple[str, ...]:
    own = (experiment for experiment in REGISTRY.values() if experiment.paper == paper)
    return tuple(dict.fromkeys(arm.name for experiment in own for arm in experiment.arms if not arm.reference))
