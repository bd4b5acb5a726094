"""A study from its runs to its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from structgrad.repro.factors.checking import Check, checks
from structgrad.repro.factors.compatible import Candidate, candidates
from structgrad.repro.factors.declared import Combination, Study
from structgrad.repro.factors.designs import is_enough
from structgrad.repro.factors.effects import Effect, effects
from structgrad.repro.factors.responses import Responses, printed_column
from structgrad.repro.factors.runs import Run, known
from structgrad.repro.judging.published import Published


@dataclass(frozen=True)
class Answer:
    """What a study says.

    Attributes:
        responses: what was trained.
        printed: the column, cell by cell.
        effects: of every level but the first, in every cell.
        candidates: every combination, the likeliest first; none where the study cannot be held against the print.
        seconds: what the runs took.
        checks: compatible combinations on the column's further cells.
        printed_there: the column's numbers in those.
    """

    responses: Responses
    printed: Sequence[Published | None]
    effects: Sequence[Effect]
    candidates: Sequence[Candidate]
    seconds: float
    checks: Sequence[Check]
    printed_there: Sequence[Published | None]

    @property
    def compatible(self) -> list[Candidate]:
        """The combinations that the printed column could be of; none of them where that is empty."""
        return [candidate for candidate in self.candidates if candidate.is_compatible]


def trained_combinations(study: Study) -> dict[Combination, dict[str, Run]]:
    """The combinations that were trained in all of the study's cells, with their runs by setting."""
    runs = {
        combination: {setting: run for setting in study.settings if (run := known(study, combination, setting))}
        for combination in study.combinations()
    }
    return {combination: own for combination, own in runs.items() if len(own) == len(study.settings)}


def answer(study: Study, printed: Sequence[Published | None] | None = None) -> Answer | None:
    """What the study's runs say of the printed column; None where too few are trained to tell the factors apart."""
    runs = trained_combinations(study)
    if not is_enough(study, list(runs)):
        return None
    seconds = sum(run.seconds for own in runs.values() for run in own.values())
    responses = Responses.of_runs(study, runs)
    beside = printed_column(study) if printed is None else printed
    found = [] if study.incomparable else candidates(responses, beside)
    return Answer(responses, beside, effects(responses), found, seconds, *checks(study, found))
