"""A figure of lines: each arm's cells against the number in the setting, one panel a published metric."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from structgrad.experiments import Experiment, Metric
from structgrad.repro.cells import Cell
from structgrad.repro.drawing import COLOURS, DASHES, MARKERS, legend, picture
from structgrad.repro.numbers import MORE_DIGITS, fixed, number

COLUMNS = (
    "panel", "title", "unit", "better", "role", "arm", "column", "answers", "setting", "x",
    "value", "ci_low", "ci_high", "n", "published",
)  # fmt: skip

READING = "Lines and bands: ours with 95 % intervals; hollow marks: the published numbers."

STEP = 0.022  # arms stand so far apart (as a fraction of x) that their bars do not hide each other


def data(experiment: Experiment, cells: Iterable[Cell]) -> bytes:
    """The csv under :data:`COLUMNS`: one line for every cell that has a value, ours or published.

    Metrics that are set beside the same published one share a panel; the last declared is its ``line`` (the
    finest), the others are its ``points``.
    """
    panels = _panels(experiment.metrics)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for cell in cells:
        ours, digits = cell.estimate, cell.metric.digits + MORE_DIGITS
        if ours is None and cell.published is None:
            continue
        panel = cell.metric.published or cell.metric.name
        writer.writerow(
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
    return text.getvalue().encode("utf-8")


def draw(content: bytes, experiment: Experiment, title: str) -> bytes:
    """The svg of :func:`data`: panels side by side.

    Lines with bands are ours with 95 % intervals, small dots the coarser metric, hollow markers the published
    values.
    """
    rows = list(csv.DictReader(content.decode("utf-8").splitlines()))
    panels = list(dict.fromkeys(row["panel"] for row in rows))
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    with picture(5.2 * max(1, len(panels)), 4.6) as (figure, drawn):
        handles: dict[str, Any] = {}
        for index, panel in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), index + 1)
            here = [row for row in rows if row["panel"] == panel]
            for place, arm in enumerate(arms):
                _draw_arm(axes, [row for row in here if row["arm"] == arm], place, len(arms), handles)
            _draw_published(axes, here, arms, handles)
            _dress(axes, here, experiment.axis)
        figure.suptitle(title, fontsize=10)
        legend(figure, handles, columns=4)
    return drawn.getvalue()


def _panels(metrics: Sequence[Metric]) -> dict[str, list[Metric]]:
    panels: dict[str, list[Metric]] = {}
    for metric in metrics:
        panels.setdefault(metric.published or metric.name, []).append(metric)
    return panels


def _draw_arm(axes: Any, rows: Sequence[dict[str, str]], place: int, arms: int, handles: dict[str, Any]) -> None:
    colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
    shift = _shift(place, arms)
    line = [row for row in rows if row["role"] == "line" and row["value"]]
    points = [row for row in rows if row["role"] == "points" and row["value"]]
    if points:
        axes.plot(_x(points, shift), _y(points), ".", color=colour, alpha=0.45, markersize=5, zorder=2)
    if line:
        style = DASHES[place % len(DASHES)]
        (handle,) = axes.plot(
            _x(line, shift), _y(line), style,
            color=colour, marker=marker, markersize=4.5, linewidth=1.4, zorder=3,
        )  # fmt: skip
        handles[line[0]["column"]] = handle
        band = [row for row in line if row["ci_low"]]
        if band:
            low, high = _y(band, "ci_low"), _y(band, "ci_high")
            axes.fill_between(_x(band, shift), low, high, color=colour, alpha=0.15, linewidth=0)
            axes.vlines(_x(band, shift), low, high, color=colour, linewidth=1.0, zorder=2)


def _draw_published(axes: Any, rows: Sequence[dict[str, str]], arms: Sequence[str], handles: dict[str, Any]) -> None:
    """Each published column once, in the colour of the first arm that answers it."""
    printed: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        if row["published"]:
            printed.setdefault((row["answers"], row["x"]), row)
    for row in printed.values():
        place = arms.index(row["arm"])
        (handle,) = axes.plot(
            _x([row], _shift(place, len(arms))), _y([row], "published"), MARKERS[place % len(MARKERS)],
            color=COLOURS[place % len(COLOURS)], markerfacecolor="none", markersize=9, markeredgewidth=1.1,
            linestyle="none", zorder=4,
        )  # fmt: skip
        handles.setdefault(f"{row['answers']}, published", handle)


def _shift(place: int, arms: int) -> float:
    return 1 + STEP * (place - (arms - 1) / 2)


def _dress(axes: Any, rows: Sequence[dict[str, str]], axis: str) -> None:
    ticks = sorted({float(row["x"]) for row in rows})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(min(ticks) * 0.88, max(ticks) * 1.14)
    if rows[0]["better"] == "lower":  # errors span decades, and zero is among them
        axes.set_yscale("symlog", linthresh=0.1, linscale=0.5)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_ylim(-0.02, axes.get_ylim()[1] * 1.25)
    axes.set_xlabel(axis)
    axes.set_ylabel(f"{rows[0]['title']} ({rows[0]['unit']})")


def _x(rows: Iterable[dict[str, str]], shift: float) -> list[float]:
    return [float(row["x"]) * shift for row in rows]


def _y(rows: Iterable[dict[str, str]], column: str = "value") -> list[float]:
    return [float(row[column]) for row in rows]
