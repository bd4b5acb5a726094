"""A figure of chosen words: the same test items, a word after the other, and which of them each arm chooses."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import Any

from structgrad.experiments import ChosenWords, Experiment
from structgrad.repro.figures.drawing import COLOURS, GRID, WIDTH, headline, legend, nothing, picture
from structgrad.repro.judging.cells import Cell
from structgrad.repro.judging.selection import selected
from structgrad.repro.tables.comma_separated import comma_separated

COLUMNS = ("setting", "item", "arm", "column", "place", "word", "inside", "chosen")
LETTERS, LETTER, LINE = 92, 0.0716, 0.32  # of a line; inches that each is wide, and that a line is high
MARKS = (0.085, -0.115)  # inches from the middle of a line at which an arm's marks are: the first above, then below


def reading(figure: ChosenWords, experiment: Experiment) -> str:
    """How to read the picture."""
    first, second = (experiment.arm(arm).column for arm in figure.arms)
    return f"Lines above words: chosen by {first}; below: by {second}. Grey ground: annotated."


def data(figure: ChosenWords, experiment: Experiment, cells: Iterable[Cell]) -> bytes:
    """The csv under :data:`COLUMNS`: one line per setting, test item, arm and word, as the arm's record shows them.

    Of a search it is the trial that is selected. Items that the arms do not all show are left out.
    """
    evidence = {(cell.setting, cell.arm.name): cell.evidence for cell in cells if cell.evidence}
    rows: list[Sequence[Any]] = []
    for setting in figure.settings:
        found = [_examples(experiment, arm, evidence.get((setting, arm), ())) for arm in figure.arms]
        for item, shown in enumerate(zip(*found, strict=False)):
            if any(example["words"] != shown[0]["words"] for example in shown):
                continue
            for arm, example in zip(figure.arms, shown, strict=True):
                name = setting, item, arm, experiment.arm(arm).column
                inside, chosen = set(example["inside"]), set(example["chosen"])
                rows += [
                    (*name, place, word, int(place in inside), int(place in chosen))
                    for place, word in enumerate(example["words"])
                ]
    return comma_separated(COLUMNS, rows).encode("utf-8")


def has_ours(content: bytes) -> bool:
    """Whether any of :func:`data` is ours."""
    return bool(list(csv.DictReader(content.decode("utf-8").splitlines())))


def draw(content: bytes, figure: ChosenWords, experiment: Experiment, title: str) -> bytes:
    """The svg of :func:`data`."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    rows = list(csv.DictReader(content.decode("utf-8").splitlines()))
    items = list(dict.fromkeys((row["setting"], row["item"]) for row in rows))
    blocks = [_lines([row for row in rows if (row["setting"], row["item"]) == item]) for item in items]
    height = sum(len(block) + 1 for block in blocks) * LINE + 1.0
    with picture(max(WIDTH, LETTERS * LETTER + 0.2), height) as (canvas, drawn):
        if not rows:
            nothing(canvas)
        else:
            _draw_items(canvas, blocks, figure)
            handles: dict[str, Any] = {
                experiment.arm(arm).column: Line2D([], [], color=COLOURS[place], linewidth=2)
                for place, arm in enumerate(figure.arms)
            }
            legend(canvas, {**handles, "annotated": Patch(color=GRID)}, columns=len(figure.arms) + 1)
        headline(canvas, title)
    return drawn.getvalue()


def _examples(experiment: Experiment, arm: str, evidence: Sequence[Any]) -> Sequence[dict[str, Any]]:
    results = [result for piece in evidence for result in piece.record["results"]]
    if not results:
        return ()
    return results[selected(results) if experiment.searches(arm) else 0].get("examples", ())


def _lines(rows: Sequence[dict[str, str]]) -> list[list[tuple[int, dict[str, str]]]]:
    """The rows of one item, each with its first letter's place, by the line of text that they stand in."""
    lines: list[list[tuple[int, dict[str, str]]]] = [[]]
    at, words = 0, len({row["place"] for row in rows})
    starts = dict[str, tuple[int, int]]()
    for row in rows[:words]:
        if at and at + len(row["word"]) > LETTERS:
            lines.append([])
            at = 0
        starts[row["place"]] = (len(lines) - 1, at)
        at += len(row["word"]) + 1
    for row in rows:
        line, start = starts[row["place"]]
        lines[line].append((start, row))
    return lines


def _draw_items(canvas: Any, blocks: Sequence[list[list[tuple[int, dict[str, str]]]]], figure: ChosenWords) -> None:
    from matplotlib.patches import Rectangle

    axes = canvas.add_subplot()
    axes.axis("off")
    axes.set_xlim(0, LETTERS * LETTER)
    axes.set_ylim(-sum(len(block) + 1 for block in blocks) * LINE, 0.5 * LINE)
    level = 0.0
    for block in blocks:
        for line in block:
            for start, row in line:
                left, size = start * LETTER, len(row["word"]) * LETTER
                if row["arm"] == figure.arms[0]:
                    if row["inside"] == "1":
                        ground = (left - LETTER / 2, level - 0.4 * LINE)
                        axes.add_patch(Rectangle(ground, size + LETTER, 0.8 * LINE, color=GRID, linewidth=0, zorder=1))
                    axes.text(left, level, row["word"], family="DejaVu Sans Mono", fontsize=8.5, va="center", zorder=3)
                if row["chosen"] == "1":
                    place = figure.arms.index(row["arm"])
                    axes.plot(
                        [left, left + size], [level + MARKS[place]] * 2, color=COLOURS[place], linewidth=2, zorder=2,
                        solid_capstyle="butt",
                    )  # fmt: skip
            level -= LINE
        level -= LINE
