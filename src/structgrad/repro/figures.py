"""Figures: each is a csv of its data, derived from the cells, and an svg drawn from nothing but that csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from structgrad.experiments import Experiment, Metric
from structgrad.files import write_bytes
from structgrad.repro.cells import Cell, collect
from structgrad.repro.numbers import MORE_DIGITS, fixed, position
from structgrad.repro.paths import results
from structgrad.repro.plan import Plan

COLUMNS = (
    "panel", "title", "unit", "better", "role", "arm", "column", "answers", "setting", "x",
    "value", "ci_low", "ci_high", "n", "published",
)  # fmt: skip

# Okabe & Ito's palette: told apart by readers with any colour vision; markers and dashes repeat what it says.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000", "#56B4E9", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "x", "P", "*")
DASHES = ("-", "-", "--", "-", "--", ":", "-.", "-.")
STEP = 0.022  # arms stand so far apart (as a fraction of x) that their bars do not hide each other

STYLE: Any = {
    "svg.hashsalt": "structgrad",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
}


def build_figures(plan: Plan) -> dict[Path, bytes]:
    """Every figure's data and picture, by path, without writing any: the audit compares with this."""
    contents: dict[Path, bytes] = {}
    for name, part in plan.experiments.items():
        experiment = part.experiment
        path = results(plan.scale) / "figures" / f"{experiment.paper}_{experiment.table}.csv"
        contents[path] = data = figure_data(experiment, collect(plan, name))
        standing = "" if part.comparable else " (protocol cut, not comparable)"
        title = f"{experiment.paper} Table {experiment.table}: {experiment.title}"
        title += f", scale {plan.scale}{standing}"
        contents[path.with_suffix(".svg")] = draw(data, title, experiment.axis)
    return contents


def write_figures(plan: Plan) -> list[Path]:
    """Write :func:`build_figures` and return the paths."""
    contents = build_figures(plan)
    for path, content in contents.items():
        write_bytes(path, content)
    return list(contents)


def figure_data(experiment: Experiment, cells: Iterable[Cell]) -> bytes:
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
                position(cell.setting, experiment.settings),
                *(fixed(getattr(ours, part, None), digits) for part in ("value", "low", "high")),
                ours.n if ours else 0,
                cell.published.text if cell.published else "",
            )
        )
    return text.getvalue().encode("utf-8")


def draw(data: bytes, title: str, axis: str) -> bytes:
    """The svg of :func:`figure_data`: a panel a published metric, side by side.

    Lines with bands are ours with 95 % intervals, small dots the coarser metric, hollow markers the published
    values.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    rows = list(csv.DictReader(data.decode("utf-8").splitlines()))
    panels = list(dict.fromkeys(row["panel"] for row in rows))
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    with mpl.rc_context():
        mpl.rcdefaults()  # nobody's own style shows
        mpl.rcParams.update(STYLE)
        figure = Figure(figsize=(5.2 * max(1, len(panels)), 4.6), layout="constrained")
        FigureCanvasSVG(figure)
        handles: dict[str, Any] = {}
        for index, panel in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), index + 1)
            here = [row for row in rows if row["panel"] == panel]
            for place, arm in enumerate(arms):
                _draw_arm(axes, [row for row in here if row["arm"] == arm], place, len(arms), handles)
            _draw_published(axes, here, arms, handles)
            _dress(axes, here, axis)
        figure.suptitle(title, fontsize=10)
        if handles:
            names, lines = handles.keys(), handles.values()
            figure.legend(lines, names, loc="outside lower center", ncols=4, frameon=False)
        picture = io.BytesIO()
        figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
    return picture.getvalue()


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
