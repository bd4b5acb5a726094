"""The page's sections: one per table or group of figures, with its views, pictures and training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from structgrad.experiments import Experiment, Figure
from structgrad.repro.evidence.gathering import Evidence
from structgrad.repro.figures import training_curves
from structgrad.repro.figures.files import KINDS, called
from structgrad.repro.planning.experiment_plan import ExperimentPlan
from structgrad.repro.report.deviations import link
from structgrad.repro.report.pictures import inline
from structgrad.repro.report.views import further_views, main_views
from structgrad.repro.tables.panels import Table


def section(
    part: ExperimentPlan, table: Table, evidence: Sequence[Evidence], drawn: Mapping[str, bytes]
) -> dict[str, Any]:
    """What the page shows of an experiment; ``drawn`` has the figures' data and pictures by name."""
    from markupsafe import Markup

    experiment, stem = part.experiment, table.stem
    further = further_views(table)
    training = training_curves.draw(experiment, evidence)
    pictures = [_figure(figure, experiment, drawn) for figure in experiment.figures]
    return {
        "id": stem,
        "paper": experiment.paper,
        "heading": experiment.heading,
        "title": experiment.title,
        "standing": table.scale_line,
        "over": table.over,
        "caption": Markup(caption(experiment, stem)),
        "views": main_views(table),
        "further": further,
        "further_cells": sum(view.cells for view in further),
        "figures": [picture for picture in pictures if picture],
        "curves": training and Markup(inline(training, f"{stem}-curves-", f"Training, {table.heading}")),
        "deviations": link(experiment.name),
    }


def caption(experiment: Experiment, stem: str) -> str:
    """``<stem>.rst`` of the experiment's folder as HTML; empty where there is none."""
    from html import escape

    path = files(experiment.package) / f"{stem}.rst"
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8")
    try:
        from docutils.core import publish_parts
    except ImportError:
        return "".join(f"<p>{escape(' '.join(part.split()))}</p>\n" for part in text.split("\n\n") if part.strip())
    quiet = {"_disable_config": True, "file_insertion_enabled": False, "raw_enabled": False, "report_level": 5}
    return publish_parts(text, writer="html5", settings_overrides=quiet).get("body", "")


def _figure(figure: Figure, experiment: Experiment, drawn: Mapping[str, bytes]) -> dict[str, Any] | None:
    """A figure as the page shows it; None where nothing of ours is in it yet."""
    from markupsafe import Markup

    stem, name, kind = experiment.stem_of(figure), called(figure, experiment), KINDS[type(figure)]
    if not kind.has_ours(drawn[f"{stem}.csv"]):
        return None
    return {
        "id": stem,
        "heading": figure.name and (figure.title or name),
        "caption": Markup(caption(experiment, stem)) if figure.name else "",
        "picture": Markup(inline(drawn[f"{stem}.svg"], f"{stem}-", f"Figure of {name}")),
        "name": name,
        "reading": kind.reading(figure, experiment),
    }
