"""A study of a sorting table that trains in seconds, and studies whose numbers are drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from structgrad.experiments import REGISTRY
from structgrad.repro.factors.declared import Factor, Study
from structgrad.repro.factors.responses import Responses
from structgrad.repro.judging.published import Published

REPLICAS = 40
SORTING = REGISTRY["indelman_1a"]
CHEAP = Study(
    replace(  # a table that prints what a hundred sequences of each replica say
        SORTING,
        published_replicas=REPLICAS,
        metrics=tuple(replace(metric, main=True) for metric in SORTING.metrics if metric.name.endswith("_100")),
    ),
    "Direct",
    "direct",
    ("d=5", "d=10"),
    ("percent_sequences_perfect_100", "prop_wrong_mean_100"),
    REPLICAS,
    (
        Factor("rate", "Adam's", {"0.1": {}, "0.01": {"learning_rate": 0.01}}),
        Factor("steps", "at most", {"50": {}, "10": {"max_epochs": 10}}),
        Factor("width", "hidden", {"32": {}, "4": {"hidden": 4}}),
    ),
    {"max_epochs": 50},
)


def study_of(*sizes: int, arm: str = "direct") -> Study:
    """One whose factors change nothing, for what is not trained."""
    factors = tuple(Factor(f"f{n}", "", {str(level): {} for level in range(size)}) for n, size in enumerate(sizes))
    return replace(CHEAP, factors=factors, arm=arm)


def as_printed(study: Study, values: np.ndarray) -> list[Published]:
    """A column of these cells, rounded as the paper's."""
    metrics = [study.experiment.metric(name) for _ in study.settings for name in study.metrics]
    pairs = zip(values, metrics, strict=True)
    return [Published(f"{value:.{metric.digits}f}", "", metric.unit, "") for value, metric in pairs]


def responses_of(study: Study, combinations, values: np.ndarray) -> Responses:
    """Of a study by the printed metrics themselves."""
    return Responses(study, combinations, values, as_printed=values)


def normal_responses(study: Study, combinations, means: np.ndarray, spread: float, seed: int = 0) -> Responses:
    rng = np.random.default_rng(seed)
    shape = (means.shape[1], study.replicas)
    noise = rng.normal(0, spread, shape) + 0.1 * spread * rng.normal(size=(len(combinations), *shape))
    return responses_of(study, combinations, means[:, :, None] + noise)
