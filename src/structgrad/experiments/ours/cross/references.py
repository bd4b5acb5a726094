"""What learns nothing: what the methods are held against."""

from __future__ import annotations

from structgrad.experiments.ours.cross.task import Task
from structgrad.training.job import Seeds
from structgrad.training.results import Mean, Result
from structgrad.training.seeds import generators
from structgrad.training.trainee import Untrained


def reference(arm: str, task: Task, seeds: Seeds) -> Untrained:
    """The quality of ``chance``, the plain argmax of random scores, or of scores that are ``unlearned``: the numbers
    themselves (sorting), mean ranks, equal costs, distances of pixels.
    """
    test, results = task.data.test, []
    for generator in generators(seeds["evaluation"]):
        theta = task.chance(test, generator) if arm == "chance" else task.unlearned(test)
        (values,) = task.quality(theta, test)
        results.append(Result(0, "untrained", {"quality": Mean.of(values.tolist())}))
    history = {"call": [0.0], "active": [1.0], "quality": [results[0].metrics["quality"].value]}
    return Untrained(results, history, roles=("data", "evaluation"))
