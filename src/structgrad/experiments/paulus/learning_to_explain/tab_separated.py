"""The reviews as Bao et al. (2018) pass them on: a header, then task, label, text and a 0 or 1 for each word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from structgrad.experiments.paulus.learning_to_explain.lines import lines, number_in, wrong
from structgrad.experiments.paulus.learning_to_explain.published import Review
from structgrad.experiments.paulus.learning_to_explain.reviews import ASPECTS

# By the name of a file without its ending, tasks that it is not of: copies differ in whether they write ``beerN``.
OTHERS = {f"beer{n}": ("", *(f"beer{m}" for m in range(len(ASPECTS)) if m != n)) for n in range(len(ASPECTS))}
HEADER = ("task", "label", "text", "rationale")
ROW = "task, label from 0 to 1, words with blanks between and a 0 or 1 for each of them, with tabs between"
SHORT_ROW = "task, label from 0 to 1 and words with blanks between, with tabs between"


def reviews(path: Path, annotated: bool) -> Iterator[Review]:
    """Of ``beerN.train``, ``.dev`` or ``.test``. The last column may be missing unless they are to be ``annotated``.

    Raises:
        UserError: a header or a line in another form.
    """
    columns, number, task = 0, 0, ""
    for number, line in lines(path, ROW):
        cells = line.split("\t")
        if number == 1:
            columns = len(cells)
            if tuple(cells) not in ((HEADER,) if annotated else (HEADER, HEADER[:3])):
                raise wrong(path, number, f"the header {', '.join(HEADER)}, with tabs between")
            continue
        task = task or cells[0]
        if cells[0] != task or task in OTHERS.get(path.stem, ("",)):
            raise wrong(path, number, f"the task of {path.stem} in every line, not {cells[0]!r}")
        yield _review(path, number, cells, columns)
    if number == 1:
        raise wrong(path, 2, ROW)


def _review(path: Path, number: int, cells: list[str], columns: int) -> Review:
    form = ROW if columns == len(HEADER) else SHORT_ROW
    if len(cells) != columns:
        raise wrong(path, number, form)
    rating, words = number_in(cells[1], 0, 1), cells[2].split()
    marks = cells[3].split() if columns == len(HEADER) else []
    if rating is None or not words or not {*marks} <= {"0", "1"} or len(marks) not in (0, len(words)):
        raise wrong(path, number, form)
    if columns == len(HEADER) and not marks:
        raise wrong(path, number, form)
    return Review(rating, words, [int(mark) for mark in marks] or None)
