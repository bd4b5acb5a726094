"""What the combinations of a study gave: one number per combination, cell and replica, and the print beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from structgrad.experiments import Metric
from structgrad.repro.factors.declared import Combination, Study
from structgrad.repro.factors.designs import columns
from structgrad.repro.factors.runs import Run, values_of
from structgrad.repro.judging.published import Published, lookup


@dataclass(frozen=True)
class Place:
    """A cell of the column."""

    setting: str
    metric: Metric


@dataclass(frozen=True)
class Responses:
    """Trained combinations.

    Attributes:
        study: what they are of.
        combinations: in the order of ``values``; the table's own first.
        values: ``(combinations, cells, replicas)`` in the metrics' units; replica r has the same seeds everywhere.
        as_printed: the same trainings by the printed metrics, which may take fewer items of each: how far single
            replicas of the print lie apart follows from these. ``values`` where there are no finer ones.
    """

    study: Study
    combinations: Sequence[Combination]
    values: np.ndarray
    as_printed: np.ndarray

    @classmethod
    def of_runs(cls, study: Study, runs: Mapping[Combination, Mapping[str, Run]]) -> Responses:
        """From every combination's runs by setting."""
        values, as_printed = (
            np.array([values_of(study, own, metrics) for own in runs.values()])
            for metrics in (study.metrics, study.printed_metrics)
        )
        return cls(study, list(runs), values, as_printed)

    @property
    def places(self) -> list[Place]:
        """The cells, setting by setting."""
        return places_of(self.study)

    @cached_property
    def matrix(self) -> np.ndarray:
        """The additive model's, of what was trained."""
        return columns(self.study, self.combinations)

    @cached_property
    def coefficients(self) -> np.ndarray:
        """Each replica's least-squares fit of the additive model, ``(columns, cells, replicas)``."""
        return np.einsum("pk,kcr->pcr", np.linalg.pinv(self.matrix), self.values)

    @cached_property
    def ratio(self) -> float:
        """Of the deviation between partitions to what folds suggest; 1 where replicas are no folds."""
        return self.study.experiment.arm(self.study.arm).fold_ratio if self.study.experiment.folds else 1.0


def places_of(study: Study) -> list[Place]:
    """A study's cells, setting by setting."""
    return [Place(setting, study.experiment.metric(metric)) for setting in study.settings for metric in study.metrics]


def printed_column(study: Study) -> list[Published | None]:
    """The printed numbers of the cells, setting by setting; None where there is none."""
    experiment = study.experiment
    return [
        lookup(experiment.paper, experiment.table, place.setting, study.column, place.metric.published)
        for place in places_of(study)
    ]
