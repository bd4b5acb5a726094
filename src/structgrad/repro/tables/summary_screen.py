"""The summary as a terminal of 80 x 24 shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from textwrap import fill

from structgrad.experiments import PAPERS
from structgrad.repro.judging.cells import Cell, Cells
from structgrad.repro.judging.summary import Answer, outside
from structgrad.repro.judging.verdicts import OUTCOMES, SETTLED
from structgrad.repro.tables.summary import multiplicity

WIDTH = 80


def screen(answers: Sequence[Answer]) -> str:
    """:func:`counts`, what chance alone would do, and where more is to be read."""
    lines, compared = counts([(answer.paper, answer.verdict) for answer in answers]), outside(answers)
    if compared.compared:
        lines += ["", fill(f"{multiplicity(compared)}.", WIDTH)]
    lines += ["", "each number: results/summary.md, structgrad summary --json", "the rule:    docs/verdicts.md"]
    return "\n".join(lines)


def counts(verdicts: Sequence[tuple[str, str]]) -> list[str]:
    """One line per verdict, a column per paper, from the paper and the verdict of each printed number."""
    by_paper = {paper: Counter(verdict for name, verdict in verdicts if name == paper) for paper, _ in verdicts}
    if len(by_paper) > 1:
        by_paper["all"] = Counter(verdict for _, verdict in verdicts)
    lines = [_row("", by_paper)]
    for name, verdict in OUTCOMES.items():
        numbers = [by[name] for by in by_paper.values()]
        if any(numbers):
            lines.append(_row(f"{verdict.mark} {verdict.words}", [str(number or "") for number in numbers]))
    return lines


def here_and_now(cells: Cells, scale: str, seconds: float) -> str:
    """What a run of one scale says of the printed numbers: those judged on the uncut protocol, and what else ran."""
    answers = [cell for own in cells.values() for cell in own if cell.is_answer]
    judged = [
        cell for cell in answers if cell.judgement.difference is not None or cell.judgement.verdict == "inconclusive"
    ]
    ran = {cell.experiment.full_title for own in cells.values() for cell in own if cell.estimate is not None}
    lines = [f"Here and now (scale {scale}, {seconds:.0f} s):"]
    if judged:
        settled = sum(cell.judgement.verdict in SETTLED for cell in judged)
        text = f"{len(judged)} printed numbers judged on the uncut protocol, {settled} of them settled: {_by(judged)}."
        lines.append(fill(text, WIDTH))
        lines += _places(judged)
    lines.append(
        fill(
            f"{len(ran)} tables and figures ran{', the rest of each cut to show that it runs' if judged else ' cut'}: "
            "not judged at this scale.",
            WIDTH,
        )
    )
    return "\n".join(lines)


def _by(cells: Sequence[Cell]) -> str:
    verdicts = [cell.judgement.verdict for cell in cells]
    order = [verdict for verdict in OUTCOMES if verdict in verdicts]
    return ", ".join(f"{verdicts.count(verdict)} {OUTCOMES[verdict].words}" for verdict in order)


def _places(cells: Sequence[Cell]) -> list[str]:
    """One line per table: which settings, and how they fared."""
    lines = []
    for (paper, heading), own in groupby(cells, key=lambda cell: (cell.experiment.paper, cell.experiment.heading)):
        of_table = list(own)
        marks = "".join(OUTCOMES[cell.judgement.verdict].mark for cell in of_table)
        lines.append(f"  {PAPERS[paper].name} {heading}: {marks}")
    return lines


def _row(name: str, parts: Iterable[str]) -> str:
    return f"{name:<22}" + "".join(f"{part:>10}" for part in parts)
