"""The compatible combinations on cells of the column that had no part in choosing them.

A combination that explains the cells of a study may owe that to chance or to the number of combinations; on further
cells it is a prediction. The study's own reading is tried beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from structgrad.repro.factors.compatible import Candidate
from structgrad.repro.factors.declared import Combination, Study
from structgrad.repro.factors.distance import LEAST, Comparison, compare
from structgrad.repro.factors.responses import Responses, printed_column
from structgrad.repro.factors.runs import known
from structgrad.repro.judging.published import Published

TRIED = 3  # compatible combinations, the likeliest


@dataclass(frozen=True)
class Check:
    """A combination on the further cells.

    Attributes:
        combination: its levels.
        is_compatible: whether the study's own cells could be its.
        beside: its further cells beside the print.
    """

    combination: Combination
    is_compatible: bool
    beside: Comparison

    @property
    def holds(self) -> bool:
        """Whether the further cells could be its, too."""
        return self.beside.p >= LEAST

    @property
    def fails_on(self) -> list[str]:
        """The settings that alone could not be its."""
        return [setting for setting, p in self.beside.p_of_settings.items() if p < LEAST]


def further(study: Study) -> Study:
    """The study of the further cells alone."""
    return replace(study, settings=study.checks, checks=())


def wanted(study: Study, candidates: Sequence[Candidate]) -> list[Combination]:
    """What is tried on the further cells: the table's own protocol, then the likeliest of the compatible ones."""
    base = (0,) * len(study.factors)
    compatible = [c.combination for c in candidates if c.is_compatible and c.combination != base]
    return [base, *compatible[:TRIED]] if study.checks and not study.incomparable else []


def checks(study: Study, candidates: Sequence[Candidate]) -> tuple[list[Check], list[Published | None]]:
    """Of the combinations that are wanted, those trained on all further cells, and the printed numbers there."""
    beyond, trained = further(study), {}
    for combination in wanted(study, candidates):
        runs = {setting: run for setting in beyond.settings if (run := known(beyond, combination, setting))}
        if len(runs) == len(beyond.settings):
            trained[combination] = runs
    if not trained:
        return [], []
    responses, printed = Responses.of_runs(beyond, trained), printed_column(beyond)
    compatible = {c.combination for c in candidates if c.is_compatible}
    found = [
        Check(combination, combination in compatible, compare(responses, combination, own, printed))
        for combination, own in zip(trained, responses.values, strict=True)
    ]
    return found, printed
