"""A figure of lines: each arm's cells against the number in the setting, one panel per metric or published metric."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from math import ceil, floor, log, log2
from typing import Any

from structgrad.experiments import Experiment, Lines, Metric
from structgrad.repro.figures.drawing import (
    WIDTH,
    headline,
    legend,
    nothing,
    picture,
    reference,
    start_at_zero,
)
from structgrad.repro.figures.looks import Look, look
from structgrad.repro.judging.cells import Cell
from structgrad.repro.judging.numbers import MORE_DIGITS, fixed, number
from structgrad.repro.tables.comma_separated import comma_separated

COLUMNS = (
    "panel", "title", "unit", "better", "role", "arm", "column", "answers", "setting", "x",
    "value", "ci_low", "ci_high", "n", "published",
)  # fmt: skip

STEP = 0.022  # arms stand so far apart (as a fraction of x) that their bars do not hide each other
EDGES = 0.88, 1.14  # how far the axis goes beyond the first and the last x; both for an axis of base 2
NAMED = 8  # more settings would not all find room for their numbers below the axis


def reading(figure: Lines, experiment: Experiment) -> str:
    """How to read the picture."""
    text = "Lines and bars: ours with 95 % intervals"
    text += "; hollow marks: the published numbers" if experiment.printed else ""
    text += "; grey, thin: what does not learn" if any(arm.reference for arm in experiment.arms) else ""
    return f"{text}."


def data(figure: Lines, experiment: Experiment, cells: Iterable[Cell]) -> bytes:
    """The csv under :data:`COLUMNS`: one line for every cell of the figure that has a value, ours or published.

    Metrics that share a panel, because they are set beside the same published one, differ in their role: the last
    declared is its ``line`` (the finest), the others are its ``points``.
    """
    panels = _panels(figure, experiment.metrics)
    places = {metric: panel for panel, metrics in panels.items() for metric in metrics}
    rows: list[Sequence[Any]] = []
    for cell in cells:
        ours, digits = cell.estimate, cell.metric.digits + MORE_DIGITS
        panel = places.get(cell.metric)
        if panel is None or (ours is None and cell.published is None):
            continue
        rows.append(
            (
                panel,
                panels[panel][0].title,
                cell.metric.unit,
                "higher" if cell.metric.higher_is_better else "lower",
                "line" if cell.metric == panels[panel][-1] else "points",
                cell.arm.name,
                cell.arm.column,
                cell.arm.answers or "",
                cell.setting,
                number(cell.setting),
                *(fixed(getattr(ours, part, None), digits) for part in ("value", "low", "high")),
                ours.n if ours else 0,
                cell.published.text if cell.published else "",
            )
        )
    return comma_separated(COLUMNS, rows).encode("utf-8")


def has_ours(content: bytes) -> bool:
    """Whether any of :func:`data` is ours; what is printed alone is no figure worth drawing."""
    rows = list(csv.DictReader(content.decode("utf-8").splitlines()))
    return any(row["value"] for row in rows)


def draw(content: bytes, figure: Lines, experiment: Experiment, title: str) -> bytes:
    """The svg of :func:`data`: panels side by side, in the order in which they are declared.

    Lines with bars are ours with 95 % intervals, small dots the coarser metric, hollow markers the published
    values; a reference is a thin line without either.
    """
    rows = list(csv.DictReader(content.decode("utf-8").splitlines()))
    with_rows = {row["panel"] for row in rows}
    panels = [panel for panel in _panels(figure, experiment.metrics) if panel in with_rows]
    arms = list(dict.fromkeys(row["arm"] for row in rows if not experiment.arm(row["arm"]).reference))
    across = max(1, min(figure.columns or len(panels), len(panels)))
    down = max(1, -(-len(panels) // across))
    with picture(max(WIDTH, 5.2 * across), 4.0 * down + 0.6) as (canvas, drawn):
        handles: dict[str, Any] = {}
        for index, panel in enumerate(panels):
            axes = canvas.add_subplot(down, across, index + 1)
            here = [row for row in rows if row["panel"] == panel]
            for place, arm in enumerate(arms):
                spot = _shift(figure, place, len(arms))
                _draw_arm(axes, [row for row in here if row["arm"] == arm], look(experiment, arm), spot, handles)
            _draw_references(axes, [row for row in here if row["arm"] not in arms], handles)
            _draw_published(axes, figure, here, {arm: look(experiment, arm) for arm in arms}, handles)
            _dress(axes, figure, here, experiment.axis)
        if not rows:
            nothing(canvas)
        headline(canvas, title)
        legend(canvas, handles, columns=4 if across > 1 else 2)
    return drawn.getvalue()


def _panels(figure: Lines, metrics: Sequence[Metric]) -> dict[str, list[Metric]]:
    """The metrics of each panel."""
    if figure.metrics:
        named = {metric.name: metric for metric in metrics}
        return {name: [named[name]] for name in figure.metrics}
    panels: dict[str, list[Metric]] = {}
    for metric in metrics:
        panels.setdefault(metric.published or metric.name, []).append(metric)
    return panels


def _draw_arm(axes: Any, rows: Sequence[dict[str, str]], own: Look, shift: float, handles: dict[str, Any]) -> None:
    colour = own.colour
    line = [row for row in rows if row["role"] == "line" and row["value"]]
    points = [row for row in rows if row["role"] == "points" and row["value"]]
    if points:
        axes.plot(_x(points, shift), _y(points), ".", color=colour, alpha=0.45, markersize=5, zorder=2)
    if line:
        (handle,) = axes.plot(
            _x(line, shift), _y(line), linestyle=own.dash,
            color=colour, marker=own.marker, markersize=4.5, linewidth=1.4, zorder=3,
        )  # fmt: skip
        handles[line[0]["column"]] = handle
        known = [row for row in line if row["ci_low"]]
        if known:
            axes.vlines(
                _x(known, shift), _y(known, "ci_low"), _y(known, "ci_high"), color=colour, linewidth=1.0, zorder=2
            )


def _draw_references(axes: Any, rows: Sequence[dict[str, str]], handles: dict[str, Any]) -> None:
    for place, arm in enumerate(dict.fromkeys(row["arm"] for row in rows)):
        line = [row for row in rows if row["arm"] == arm and row["role"] == "line" and row["value"]]
        if line:
            (handles[line[0]["column"]],) = axes.plot(_x(line, 1.0), _y(line), **reference(place), zorder=2)


def _draw_published(
    axes: Any, figure: Lines, rows: Sequence[dict[str, str]], looks: dict[str, Look], handles: dict[str, Any]
) -> None:
    """Each published column once, in the colour of the first arm that answers it."""
    printed: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        if row["published"]:
            printed.setdefault((row["answers"], row["x"]), row)
    for row in printed.values():
        own, place = looks[row["arm"]], list(looks).index(row["arm"])
        (handle,) = axes.plot(
            _x([row], _shift(figure, place, len(looks))), _y([row], "published"), own.marker,
            color=own.colour, markerfacecolor="none", markersize=9, markeredgewidth=1.1,
            linestyle="none", zorder=4,
        )  # fmt: skip
        handles.setdefault(f"{row['answers']}, published", handle)


def _shift(figure: Lines, place: int, arms: int) -> float:
    return 1 + STEP * log2(figure.base) * (place - (arms - 1) / 2)


def _ticks(base: float, settings: Sequence[float]) -> list[float]:
    """The settings where their numbers find room, else the powers of the base about them."""
    if len(settings) <= NAMED:
        return list(settings)
    first, last = floor(log(settings[0], base)), ceil(log(settings[-1], base))
    return [float(base) ** power for power in range(first, last + 1)]


def _dress(axes: Any, figure: Lines, rows: Sequence[dict[str, str]], axis: str) -> None:
    settings = sorted({float(row["x"]) for row in rows})
    ticks = _ticks(figure.base, settings)
    low, high = (edge ** log2(figure.base) for edge in EDGES)
    axes.set_xscale("log", base=figure.base)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(settings[0] * low, settings[-1] * high)
    if rows[0]["better"] == "lower":  # errors span decades, and zero is among them
        axes.set_yscale("symlog", linthresh=0.1, linscale=0.5)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_ylim(-0.02, axes.get_ylim()[1] * 1.25)
    elif figure.from_zero:
        start_at_zero(axes)
    axes.set_xlabel(axis)
    axes.set_ylabel(f"{rows[0]['title']} ({rows[0]['unit']})")


def _x(rows: Iterable[dict[str, str]], shift: float) -> list[float]:
    return [float(row["x"]) * shift for row in rows]


def _y(rows: Iterable[dict[str, str]], column: str = "value") -> list[float]:
    return [float(row[column]) for row in rows]
