"""The generated parts of README.md and of results.md, deviations.md, artifact.md in docs; a test holds them current."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from structgrad.errors import UserError
from structgrad.experiments import PAPERS, PUBLISHED
from structgrad.files import write_text
from structgrad.repro.factors.open_choices import open_choices
from structgrad.repro.judging.numbers import fixed
from structgrad.repro.judging.summary import Answer, best_evidence, outside, tally
from structgrad.repro.judging.verdicts import OUTCOMES
from structgrad.repro.planning.paths import project_root
from structgrad.repro.report.artifact import artifact_parts
from structgrad.repro.tables.summary import counted, multiplicity

FILES = ("README.md", "docs/results.md", "docs/deviations.md", "docs/artifact.md")
BLOCK = re.compile(r"(<!-- generated: ([^>]*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def parts(answers: Sequence[Answer]) -> Mapping[str, str]:
    """What stands between the marks of each name."""
    tables = {
        f"{paper} {table} {metric}": _table(list(own))
        for (paper, table, metric), own in groupby(
            sorted(answers, key=_place), key=lambda answer: (answer.paper, answer.table, answer.metric)
        )
    }
    words = {f"{paper} in words": f"{counted(a for a in answers if a.paper == paper)}.\n" for paper in PUBLISHED}
    choices = {f"{paper} open choices": open_choices(paper) for paper in PUBLISHED}
    said = f"{multiplicity(outside(answers))}.\n"
    return {
        "verdicts": _verdicts(answers),
        "multiplicity": said,
        **words,
        **tables,
        **choices,
        **artifact_parts(answers),
    }


def filled(text: str, contents: Mapping[str, str], name: str) -> str:
    """A text with its generated parts made anew.

    Raises:
        UserError: it asks for a part that is not made.
    """

    def replaced(match: re.Match[str]) -> str:
        if match[2] not in contents:
            raise UserError(f"{name}: there is no generated part {match[2]!r}; there are {', '.join(contents)}")
        return f"{match[1]}{contents[match[2]]}{match[3]}"

    return BLOCK.sub(replaced, text)


def build() -> dict[Path, str]:
    """The files as they should be."""
    contents = parts(best_evidence())
    paths = [project_root() / name for name in FILES]
    return {path: filled(path.read_text(encoding="utf-8"), contents, path.name) for path in paths}


def main() -> None:
    """Write them."""
    for path, text in build().items():
        write_text(path, text)


def _place(answer: Answer) -> tuple[int, str, str]:
    return list(PAPERS).index(answer.paper), answer.table, answer.metric


def _verdicts(answers: Sequence[Answer]) -> str:
    counts = tally(answers)
    shown = {name: verdict for name, verdict in OUTCOMES.items() if counts[name]}
    heads = (f"{verdict.words} {verdict.mark}" for verdict in shown.values())
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---|' * len(shown)}"]
    for name, own in [*((p, [a for a in answers if a.paper == p]) for p in PUBLISHED), ("all", list(answers))]:
        by = tally(own)
        title = f"{PAPERS[name].authors[0].split()[-1]} et al. ({name})" if name in PAPERS else "**all**"
        lines.append(f"| {title} | {' | '.join(str(by[verdict] or '') for verdict in shown)} |")
    return "\n".join(lines) + "\n"


def _table(answers: Sequence[Answer]) -> str:
    """Rows and columns as printed; a cell holds ours, (the printed number) and the verdict's mark."""
    rows, columns = (list(dict.fromkeys(getattr(answer, part) for answer in answers)) for part in ("row", "column"))
    by_place = {(answer.row, answer.column): answer for answer in answers}
    unit = answers[0].published.unit
    lines = [f"| {unit} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for row in rows:
        cells = [_cell(by_place.get((row, column))) for column in columns]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(answer: Answer | None) -> str:
    if answer is None:
        return ""
    cell, mark = answer.cell, OUTCOMES[answer.verdict].mark
    if cell is None or cell.estimate is None:
        return f"({answer.published.text}) {mark}"
    ours = fixed(cell.estimate.value, cell.metric.digits)
    return f"{ours} ({answer.published.text}) {mark}"


if __name__ == "__main__":
    main()
