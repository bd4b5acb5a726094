"""A study from its runs to its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from structgrad.repro.factors.compatible import Candidate, candidates
from structgrad.repro.factors.declared import Combination, Study
from structgrad.repro.factors.designs import columns
from structgrad.repro.factors.effects import Effect, effects
from structgrad.repro.factors.responses import Responses, printed_column
from structgrad.repro.factors.runs import known, values_of
from structgrad.repro.judging.published import Published


@dataclass(frozen=True)
class Answer:
    """What a study says.

    Attributes:
        responses: what was trained.
        printed: the column, cell by cell.
        effects: of every level but the first, in every cell.
        candidates: every combination, the likeliest first.
        seconds: what the runs took.
    """

    responses: Responses
    printed: Sequence[Published | None]
    effects: Sequence[Effect]
    candidates: Sequence[Candidate]
    seconds: float

    @property
    def compatible(self) -> list[Candidate]:
        """The combinations that the printed column could be of; none of them where that is empty."""
        return [candidate for candidate in self.candidates if candidate.is_compatible]


def trained_combinations(study: Study) -> list[Combination]:
    """The combinations that were trained in all of the study's cells."""
    return [
        combination
        for combination in study.combinations()
        if all(known(study, combination, setting) is not None for setting in study.settings)
    ]


def answer(study: Study, printed: Sequence[Published | None] | None = None) -> Answer | None:
    """What the study's runs say of the printed column; None where too few are trained to tell the factors apart."""
    chosen = trained_combinations(study)
    wanted = 1 + sum(size - 1 for size in study.sizes)
    if len(chosen) < wanted or np.linalg.matrix_rank(columns(study, chosen)) < wanted:
        return None
    values, seconds = [], 0.0
    for combination in chosen:
        runs = {setting: run for setting in study.settings if (run := known(study, combination, setting))}
        values.append(values_of(study, runs))
        seconds += sum(run.seconds for run in runs.values())
    responses = Responses(study, chosen, np.array(values))
    beside = printed_column(study) if printed is None else printed
    return Answer(responses, beside, effects(responses), candidates(responses, beside), seconds)
