"""A scatter figure: one arm's cells against another's, one point per setting, one panel per pair of arms and metric."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from structgrad.experiments import Experiment, Scatter
from structgrad.repro.figures.drawing import COLOURS, headline, legend, picture
from structgrad.repro.judging.cells import Cell
from structgrad.repro.judging.numbers import MORE_DIGITS, fixed
from structgrad.repro.tables.comma_separated import comma_separated

SIDES = ("x", "y")
COLUMNS = (
    "panel", "title", "unit", "setting",
    *(f"{side}_{part}" for side in SIDES for part in ("arm", "column", "value", "ci_low", "ci_high", "n", "published")),
)  # fmt: skip

READING = (
    "Filled points: ours with 95 % intervals; hollow points: the published numbers, each joined to ours of the same "
    "setting. Above the diagonal the method on the vertical axis is better; the band is what counts as similar."
)

NAMED = 6  # more names would hide each other

OURS, PUBLISHED, BAND = COLOURS[0], COLOURS[1], "#777777"


def reading(figure: Scatter, experiment: Experiment) -> str:
    """How to read the picture."""
    return READING


def data(figure: Scatter, experiment: Experiment, cells: Iterable[Cell]) -> bytes:
    """The csv under :data:`COLUMNS`: one line per pair of arms and setting where both have a value, ours or published.

    ``y`` is the pair's first arm, the one that lies above the diagonal where its values are larger.
    """
    by_place = {(cell.arm.name, cell.metric.name, cell.setting): cell for cell in cells}
    rows: list[Sequence[Any]] = []
    for metric in experiment.metrics:
        for vertical, horizontal in figure.pairs:
            for setting in experiment.settings:
                y, x = (by_place[arm, metric.name, setting] for arm in (vertical, horizontal))
                if (x.estimate and y.estimate) or (x.published and y.published):
                    panel = f"{metric.name}: {vertical} against {horizontal}"
                    rows.append((panel, metric.title, metric.unit, setting, *_side(x), *_side(y)))
    return comma_separated(COLUMNS, rows).encode("utf-8")


def has_ours(content: bytes) -> bool:
    """Whether any of :func:`data` is ours; what is printed alone is no figure worth drawing."""
    rows = list(csv.DictReader(content.decode("utf-8").splitlines()))
    return any(row["x_value"] and row["y_value"] for row in rows)


def draw(content: bytes, figure: Scatter, experiment: Experiment, title: str) -> bytes:
    """The svg of :func:`data`.

    Filled points are ours with 95 % intervals, hollow ones the published; a line joins the two of a setting. The
    diagonal and the band about it within which the two arms count as similar are drawn in; of the settings that ours
    puts below the band the furthest are named.
    """
    rows = list(csv.DictReader(content.decode("utf-8").splitlines()))
    panels = list(dict.fromkeys(row["panel"] for row in rows))
    across = max(1, min(figure.columns, len(panels)))
    down = max(1, -(-len(panels) // across))
    with picture(3.6 * across, 3.6 * down + 0.7) as (canvas, drawn):
        handles: dict[str, Any] = {}
        for index, panel in enumerate(panels):
            axes = canvas.add_subplot(down, across, index + 1)
            here = [row for row in rows if row["panel"] == panel]
            ends = _ends(here)
            _draw_diagonal(axes, ends, figure.band, handles)
            _draw_points(axes, here, figure.band, handles)
            axes.set_xlim(ends)
            axes.set_ylim(ends)
            axes.set_aspect("equal")
            axes.set_xlabel(here[0]["x_column"])
            axes.set_ylabel(here[0]["y_column"])
        headline(canvas, title, f"{rows[0]['title']} ({rows[0]['unit']})" if rows else "")
        legend(canvas, handles, columns=4)
    return drawn.getvalue()


def _side(cell: Cell) -> tuple[str | int, ...]:
    ours, digits = cell.estimate, cell.metric.digits + MORE_DIGITS
    return (
        cell.arm.name,
        cell.arm.column,
        *(fixed(getattr(ours, part, None), digits) for part in ("value", "low", "high")),
        ours.n if ours else 0,
        cell.published.text if cell.published else "",
    )


def _ends(rows: Sequence[dict[str, str]]) -> tuple[float, float]:
    """The same for both axes: every value, interval and, from below, zero."""
    parts = [f"{side}_{part}" for side in SIDES for part in ("value", "ci_low", "ci_high", "published")]
    numbers = [float(row[part]) for row in rows for part in parts if row[part]] + [0.0]
    margin = 0.04 * (max(numbers) - min(numbers) or 1.0)
    return min(numbers) - margin, max(numbers) + margin


def _draw_diagonal(axes: Any, ends: tuple[float, float], band: float, handles: dict[str, Any]) -> None:
    x = np.array([ends[0], 0.0, ends[1]])
    near = axes.fill_between(x, x - band * abs(x), x + band * abs(x), color=BAND, alpha=0.18, linewidth=0)
    (line,) = axes.plot(ends, ends, color=BAND, linewidth=0.8)
    handles.setdefault("equal", line)
    handles.setdefault(f"within {band:.0%}", near)


def _draw_points(axes: Any, rows: Sequence[dict[str, str]], band: float, handles: dict[str, Any]) -> None:
    ours = [row for row in rows if row["x_value"] and row["y_value"]]
    printed = [row for row in rows if row["x_published"] and row["y_published"]]
    both = [row for row in ours if row in printed]
    for_each = zip(_at(both, "value"), _at(both, "published"), strict=True)
    axes.plot(*(np.stack(ends) for ends in for_each), color=BAND, linewidth=0.6, zorder=2)
    known = [row for row in ours if row["x_ci_low"] and row["y_ci_low"]]
    (x, y), (left, down), (right, up) = (_at(known, part) for part in ("value", "ci_low", "ci_high"))
    axes.hlines(y, left, right, color=OURS, linewidth=0.8, alpha=0.6, zorder=3)
    axes.vlines(x, down, up, color=OURS, linewidth=0.8, alpha=0.6, zorder=3)
    below = [(y - x, row["setting"], x, y) for row, x, y in zip(ours, *_at(ours, "value"), strict=True)]
    for _, setting, x, y in sorted(point for point in below if point[0] < -band * abs(point[2]))[:NAMED]:
        axes.annotate(setting, (x, y), (4, -7), textcoords="offset points", fontsize=6.5)
    for points, part, name, look in (
        (ours, "value", "ours", {"color": OURS, "markersize": 4.5}),
        (printed, "published", "published", {"color": PUBLISHED, "markersize": 6.0, "markerfacecolor": "none"}),
    ):
        if points:
            (handle,) = axes.plot(*_at(points, part), "o", linestyle="none", zorder=4, **look)
            handles.setdefault(name, handle)


def _at(rows: Sequence[dict[str, str]], part: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = (np.array([float(row[f"{side}_{part}"]) for row in rows]) for side in SIDES)
    return x, y
