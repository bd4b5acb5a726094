"""``results/summary.svg``: every printed number as a small square, coloured and marked by its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from structgrad.files import write_bytes
from structgrad.repro.figures.drawing import GREY, picture
from structgrad.repro.judging.summary import Answer, tally
from structgrad.repro.judging.verdicts import NO_EXPERIMENT, OUTCOMES
from structgrad.repro.planning.paths import project_root

PER_ROW = 42
# Okabe & Ito's colours; the marks say the same without them.
COLOURS = {
    "reproduced": "#009E73",
    "inconclusive": "#56B4E9",
    "shifted": "#E69F00",
    "differs": "#D55E00",
    "misprint": "#CC79A7",
    "not_comparable": "#bbbbbb",
    "not_attempted": "#dddddd",
    "no_data": "#dddddd",
    NO_EXPERIMENT: "#f2f2f2",
}


def draw(answers: Sequence[Answer]) -> bytes:
    """The svg, one block of squares per table in the papers' order."""
    blocks = [(key, list(own)) for key, own in groupby(answers, key=lambda answer: (answer.paper, answer.table))]
    blocks = [(key, own) for key, own in blocks if not key[1].startswith("text")]
    height = sum(1 + -(-len(own) // PER_ROW) for _, own in blocks)
    with picture(9.0, 0.21 * height + 0.9) as (figure, content):
        axes = figure.subplots()
        top = 0
        for (paper, table), own in blocks:
            axes.text(-0.6, top + 0.35, f"{paper} Table {table}", ha="right", va="center")
            for place, answer in enumerate(own):
                row, column = divmod(place, PER_ROW)
                _square(axes, column, top + row, answer.verdict)
            top += 1 + -(-len(own) // PER_ROW)
        by = tally(answer for _, own in blocks for answer in own)
        for place, (name, verdict) in enumerate((n, verdict) for n, verdict in OUTCOMES.items() if by[n]):
            row, column = divmod(place, 3)
            _square(axes, 14 * column, top + 1.3 * row, name)
            axes.text(14 * column + 1.2, top + 1.3 * row + 0.4, f"{by[name]} {verdict.words}", va="center")
        axes.set_xlim(-9, PER_ROW)
        axes.set_ylim(top + 3.6, -0.4)
        axes.set_axis_off()
        axes.set_aspect("equal")
    return content.getvalue()


def build_map(answers: Sequence[Answer]) -> dict[Path, bytes]:
    """The file and its content, without writing it."""
    return {project_root() / "results" / "summary.svg": draw(answers)}


def write_map(answers: Sequence[Answer]) -> None:
    """Write :func:`build_map`."""
    for path, content in build_map(answers).items():
        write_bytes(path, content)


def _square(axes: Any, x: float, y: float, verdict: str) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x, y), 0.84, 0.84, facecolor=COLOURS[verdict], edgecolor=GREY, linewidth=0.4))
    axes.text(x + 0.42, y + 0.42, OUTCOMES[verdict].mark, ha="center", va="center", fontsize=6.5, color="#000000")
