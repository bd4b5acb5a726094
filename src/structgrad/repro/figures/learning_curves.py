"""A figure of learning curves: each arm's quantity against the epoch or step, one panel per setting and quantity."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from typing import Any

from structgrad.experiments import Experiment, LearningCurves
from structgrad.repro.figures.drawing import WIDTH, headline, legend, nothing, picture, reference, start_at_zero
from structgrad.repro.figures.looks import look
from structgrad.repro.figures.training_curves import History, shown
from structgrad.repro.judging.cells import Cell
from structgrad.repro.judging.numbers import MORE_DIGITS, fixed
from structgrad.repro.tables.comma_separated import comma_separated

KEY, LETTER = 0.6, 0.075  # inches that a name in the legend needs, and each letter of it
MARKED = 8  # about so many points of a line carry its marker
AXES = {"call": "maximiser calls"}  # what a clock is called where its own name says too little
NAMES = ("quantity", "title", "unit", "setting", "arm", "column")


def reading(figure: LearningCurves, experiment: Experiment) -> str:
    """How to read the picture."""
    text = "Lines: means over the replicas that still train"
    if experiment.selected_by:
        text = "Lines: the trial that is selected"
    answered = {metric.name for metric in experiment.metrics if metric.published}
    text += "; hollow marks at the right edge: the published numbers" if answered & set(figure.quantities) else ""
    text += "; grey, thin: what does not learn" if any(arm.reference for arm in experiment.arms) else ""
    return f"{text}."


def data(figure: LearningCurves, experiment: Experiment, cells: Iterable[Cell]) -> bytes:
    """The csv under :func:`columns`: one line per quantity, setting, arm and epoch (step) of the records' histories.

    ``value`` is in the unit of the metric that the quantity is named like, else as it stands in the record; ``active``
    is how many replicas it is a mean of. Where an arm has several slices it is the mean over all their replicas if all
    have the same epochs; else the first slice is shown, because a mean over slices that stop at different epochs would
    jump. A record without the quantity is left out. Of a search the line is that of the selected trial, or of the
    trials that share its record; ``trials`` says which. ``published`` is the printed number that the
    arm's cell answers.
    """
    cells = list(cells)
    printed = {(c.metric.name, c.setting, c.arm.name): c.published.text for c in cells if c.is_answer and c.published}
    evidence = list({piece.path: piece for cell in cells for piece in cell.evidence}.values())
    by_place = shown(experiment, evidence)
    rows: list[Sequence[Any]] = []
    for quantity in figure.quantities:
        metric = next((metric for metric in experiment.metrics if metric.name == quantity), None)
        title, unit = (metric.title, metric.unit) if metric else (quantity, "")
        for setting in figure.settings:
            for arm in experiment.arms:
                records = by_place.get((arm.name, setting), [])
                name = (quantity, title, unit, setting, arm.name, arm.column)
                theirs = printed.get((quantity, setting, arm.name), "")
                trials = [_trials(records)] if experiment.selected_by else []
                for time, active, value in _curve([r["history"] for r in records], quantity, experiment.clock):
                    number = fixed(value * metric.factor, metric.digits + MORE_DIGITS) if metric else f"{value:.6g}"
                    rows.append((*name, f"{time:.10g}", f"{active:g}", number, theirs, *trials))
    return comma_separated(columns(experiment), rows).encode("utf-8")


def has_ours(content: bytes) -> bool:
    """Whether any of :func:`data` is ours; what is printed alone is no figure worth drawing."""
    rows = list(csv.DictReader(content.decode("utf-8").splitlines()))
    return bool(rows)


def draw(content: bytes, figure: LearningCurves, experiment: Experiment, title: str) -> bytes:
    """The svg of :func:`data`: settings are columns, quantities rows with one vertical axis; of a single quantity the
    settings may stand in several rows.

    The axis of time is logarithmic, so that what happened before the first is not shown. A reference is a
    horizontal line at its last value.
    """
    rows = list(csv.DictReader(content.decode("utf-8").splitlines()))
    settings, quantities = ([*dict.fromkeys(row[part] for row in rows)] for part in ("setting", "quantity"))
    down, across = max(1, len(quantities)), max(1, len(settings))
    if figure.columns and down == 1:
        down, across = -(-across // figure.columns), min(across, figure.columns)
    width = max(WIDTH, 4.2 * across)
    with picture(width, 2.9 * down + 0.9) as (canvas, drawn):
        handles: dict[str, Any] = {}
        for i, quantity in enumerate(quantities):
            row = next(row for row in rows if row["quantity"] == quantity)
            for j, setting in enumerate(settings):  # each on its own scale: one data set may be far harder than another
                place = i * len(settings) + j
                axes = canvas.add_subplot(down, across, place + 1)
                here = [row for row in rows if (row["quantity"], row["setting"]) == (quantity, setting)]
                _draw_panel(axes, here, experiment, handles)
                if i == 0:  # of a single quantity every panel
                    axes.set_title(setting, fontsize=9)
                if place + across >= len(quantities) * len(settings):  # nothing below
                    axes.set_xlabel(AXES.get(experiment.clock, experiment.clock))
                if place % across == 0:
                    axes.set_ylabel(f"{row['title']} ({row['unit']})" if row["unit"] else row["title"])
                if figure.from_zero:
                    start_at_zero(axes)
        if not rows:
            nothing(canvas)
        headline(canvas, title)
        named = {arm.column: handles[arm.column] for arm in experiment.arms if arm.column in handles}
        longest = max(map(len, named), default=0)
        named |= {name: handle for name, handle in handles.items() if name not in named}
        legend(canvas, named, columns=max(1, int(width / (KEY + LETTER * longest))))
    return drawn.getvalue()


def columns(experiment: Experiment) -> tuple[str, ...]:
    """The heads of the csv."""
    return (*NAMES, experiment.clock, "active", "value", "published", *(("trials",) if experiment.selected_by else ()))


def _trials(records: Sequence[Mapping[str, Any]]) -> str:
    return " ".join(str(result["replica"]) for record in records for result in record["results"])


def _curve(slices: Sequence[History], quantity: str, clock: str) -> list[tuple[float, float, float]]:
    """(time, active, value) at each time; empty where no slice has the quantity."""
    slices = [history for history in slices if quantity in history]
    if any(history[clock] != slices[0][clock] for history in slices):
        slices = slices[:1]
    curve = []
    for place, time in enumerate(slices[0][clock] if slices else []):
        active = sum(history["active"][place] for history in slices)
        total = fsum(history["active"][place] * history[quantity][place] for history in slices)
        curve.append((time, active, total / active if len(slices) > 1 else slices[0][quantity][place]))
    return curve


def _draw_panel(axes: Any, rows: Sequence[dict[str, str]], experiment: Experiment, handles: dict[str, Any]) -> None:
    from matplotlib.ticker import LogFormatter

    references = [arm for arm in experiment.arms if arm.reference]
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(LogFormatter())  # 100, not a power of ten; between them only in a short run
    axes.xaxis.set_minor_formatter(LogFormatter())
    for arm in experiment.arms:
        line = [(float(row[experiment.clock]), float(row["value"])) for row in rows if row["arm"] == arm.name]
        if arm.reference and line:
            handles[arm.column] = axes.axhline(line[-1][1], **reference(references.index(arm)), zorder=2)
            continue
        line = [(time, value) for time, value in line if time > 0]
        if line:
            own = look(experiment, arm.name)
            (handles[arm.column],) = axes.plot(
                *zip(*line, strict=True), linestyle=own.dash, color=own.colour, linewidth=1.3, zorder=3,
                marker=own.marker, markersize=3.5, markevery=max(1, len(line) // MARKED),
            )  # fmt: skip
            theirs = next((row["published"] for row in rows if row["arm"] == arm.name and row.get("published")), "")
            if theirs:
                (mark,) = axes.plot(
                    [1.0], [float(theirs)], own.marker, color=own.colour, markerfacecolor="none", markersize=8,
                    transform=axes.get_yaxis_transform(), clip_on=False, zorder=4,
                )  # fmt: skip
                handles[f"{arm.column}, published"] = mark
