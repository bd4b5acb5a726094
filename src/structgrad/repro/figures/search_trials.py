"""A figure of searches: what every trial scores against each hyper-parameter that was searched (a slice plot)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import Any

from structgrad.experiments import Experiment, SearchTrials
from structgrad.repro.figures.drawing import WIDTH, headline, legend, nothing, picture
from structgrad.repro.figures.looks import look
from structgrad.repro.judging.cells import Cell
from structgrad.repro.judging.numbers import MORE_DIGITS, fixed
from structgrad.repro.judging.trials import trials_of
from structgrad.repro.tables.comma_separated import comma_separated

COLUMNS = (
    "title", "unit", "setting", "arm", "column", "trial", "hyper_parameter", "at", "value", "validation", "selected",
)  # fmt: skip
SEVERAL = 50.0  # from its lower end to its upper an axis spans several decades


def reading(figure: SearchTrials, experiment: Experiment) -> str:
    """How to read the picture."""
    return (
        "Each mark is a trial of a random search, at what it drew (logarithmic) and what it scores on the test data; "
        f"the ring is the trial that validates best ({experiment.selected_by}), which the table reports."
    )


def data(figure: SearchTrials, experiment: Experiment, cells: Iterable[Cell]) -> bytes:
    """The csv under :data:`COLUMNS`: one line per setting, arm, trial and hyper-parameter."""
    rows: list[Sequence[Any]] = []
    for cell in cells:
        if cell.metric.name != figure.metric or cell.arm.name not in figure.arms:
            continue
        of = (cell.metric.title, cell.metric.unit, cell.setting, cell.arm.name, cell.arm.column)
        for trial in trials_of(cell):
            scores = fixed(trial["value"], cell.metric.digits + MORE_DIGITS), f"{trial['validation']:.6g}"
            for name in figure.hyper_parameters:
                at = f"{trial['point'][name]:.6g}"
                rows.append((*of, trial["trial"], name, at, *scores, int(trial["selected"])))
    return comma_separated(COLUMNS, rows).encode("utf-8")


def has_ours(content: bytes) -> bool:
    """Whether any trial is in :func:`data`."""
    return content.count(b"\n") > 1


def draw(content: bytes, figure: SearchTrials, experiment: Experiment, title: str) -> bytes:
    """The svg of :func:`data`: settings are rows with one vertical axis, hyper-parameters columns."""
    rows = list(csv.DictReader(content.decode("utf-8").splitlines()))
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    down, across = max(1, len(settings)), len(figure.hyper_parameters)
    with picture(max(WIDTH, 3.4 * across), 2.7 * down + 0.9) as (canvas, drawn):
        handles: dict[str, Any] = {}
        for i, setting in enumerate(settings):
            first = None
            for j, name in enumerate(figure.hyper_parameters):
                axes = canvas.add_subplot(down, across, i * across + j + 1, sharey=first)
                first = first or axes
                here = [row for row in rows if (row["setting"], row["hyper_parameter"]) == (setting, name)]
                _mark(axes, here, experiment, handles)
                _log(axes)
                if i == 0:
                    axes.set_title(name.replace("_", " "), fontsize=9)
                if j == 0:
                    axes.set_ylabel(setting)
        if rows:
            headline(canvas, title, f"{rows[0]['title']} ({rows[0]['unit']})")
        else:
            nothing(canvas)
            headline(canvas, title)
        legend(canvas, handles, columns=3)
    return drawn.getvalue()


def _mark(axes: Any, rows: Sequence[dict[str, str]], experiment: Experiment, handles: dict[str, Any]) -> None:
    for arm, column in dict.fromkeys((row["arm"], row["column"]) for row in rows):
        own = [row for row in rows if row["arm"] == arm]
        drawn = look(experiment, arm)
        (handle,) = axes.plot(*_at(own), drawn.marker, color=drawn.colour, linestyle="none", markersize=4.5)
        handles.setdefault(column, handle)
        (ring,) = axes.plot(
            *_at([row for row in own if row["selected"] == "1"]), "o",
            color=drawn.colour, linestyle="none", markerfacecolor="none", markersize=10,
        )  # fmt: skip
        handles.setdefault("selected", ring)


def _log(axes: Any) -> None:
    """A logarithmic axis whose labels keep apart: at 1, 2 and 5 of a decade, or at 1 where there are several."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < SEVERAL * low else (1.0,)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _at(rows: Sequence[dict[str, str]]) -> tuple[list[float], list[float]]:
    return [float(row["at"]) for row in rows], [float(row["value"]) for row in rows]
