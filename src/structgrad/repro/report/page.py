"""The report: one self-contained page with the tables, figures, claims, costs and provenance of a scale.

Everything in it is derived from the records, and nothing depends on the day it is written: it rebuilds byte for
byte, and the audit checks that it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from structgrad.experiments import PAPERS
from structgrad.files import write_bytes, write_text
from structgrad.repro import claims
from structgrad.repro.evidence.gathering import Evidence
from structgrad.repro.figures.files import build_figures
from structgrad.repro.judging.cells import Cells
from structgrad.repro.judging.numbers import fixed
from structgrad.repro.judging.summary import Answer
from structgrad.repro.judging.verdicts import OUTCOMES
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import Plan
from structgrad.repro.report import assets, manifest, one_workflow, rocrate, rows
from structgrad.repro.report.facts import Facts
from structgrad.repro.report.pictures import share_styles
from structgrad.repro.report.sections import section
from structgrad.repro.report.standings import standings
from structgrad.repro.report.words import doubt, sentence
from structgrad.repro.tables.panels import Table, tables


def write_report(plan: Plan, cells: Cells) -> list[Path]:
    """Write the page, the research object's metadata and, last of all, the manifest; their paths."""
    page, crate = results(plan.scale) / "report.html", results(plan.scale) / rocrate.NAME
    write_bytes(page, build_report(plan, cells))
    write_text(one_workflow.path_of(plan.scale), one_workflow.text())
    write_bytes(crate, rocrate.build_crate(plan))
    return [page, crate, manifest.write(plan.scale)]


def build_report(plan: Plan, cells: Cells) -> bytes:
    """The content of ``report.html``."""
    from markupsafe import Markup

    shown = tables(plan, cells)
    evidence = _evidence(shown.values())
    drawn = {path.name: content for path, content in build_figures(plan, cells).items()}
    facts, script = Facts(plan), assets.script()
    judged = claims.judge_claims(plan, cells)
    template = assets.environment().get_template("page.html.j2")
    page = template.render(
        scale=plan.scale,
        style=Markup(assets.style()),
        script=Markup(script),
        script_digest=assets.digest(script),
        facts=facts,  # grow as the templates show cells; the page's block of data comes last
        fixed=fixed,
        doubt=doubt,
        spoken=spoken,
        outcomes=OUTCOMES,
        papers=[(standing, PAPERS[standing.paper], sentence(standing)) for standing in standings(plan, cells)],
        sections=[section(plan.experiments[name], table, evidence, drawn) for name, table in shown.items()],
        outside=[rows.outside(cell) for table in shown.values() for cell in table.cells if rows.is_outside(cell)],
        searches=any(part.experiment.selected_by for part in plan.experiments.values()),
        clocks=" / ".join(dict.fromkeys(f"{part.experiment.clock}s" for part in plan.experiments.values())),
        claims=_by_verdict([claim for claim in judged if claim["of"] == "paper"]),
        questions=[claim for claim in judged if claim["of"] != "paper"],
        costs=[rows.cost(piece, plan) for piece in evidence],
        total=rows.duration(sum(piece.record["run"]["seconds"] for piece in evidence)),
        origins=rows.origins(evidence),
        example=next((cell.id for table in shown.values() for cell in table.cells if cell.estimate), None),
        records=len(evidence),
        shards=len(plan.shards),
        data_licences=_data_licences(plan),
    )
    return share_styles(page).encode("utf-8")


def spoken(square: Answer) -> str:
    """A square of the map for a screen reader: place, verdict, both numbers."""
    ours = square.cell.estimate if square.cell else None
    digits = square.cell.metric.digits if square.cell else 0
    what = square.cell.metric.title if square.cell else square.metric
    said = f"{square.row}, {square.column}, {what}: {square.verdict.replace('_', ' ')}; printed {square.published.text}"
    return f"{said}, ours {fixed(ours.value, digits)}" if ours else said


def _by_verdict(judged: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """The claims of each verdict, what is decided first."""
    groups = [(verdict, [claim for claim in judged if claim["verdict"] == verdict]) for verdict in claims.VERDICTS]
    return [(verdict, group) for verdict, group in groups if group]


def _data_licences(plan: Plan) -> list[str]:
    """The note on licences of each paper whose experiments read data of others."""
    named = dict.fromkeys(part.experiment.paper for part in plan.experiments.values())
    return [PAPERS[name].data_licence for name in named if PAPERS[name].data_licence]


def _evidence(shown: Iterable[Table]) -> list[Evidence]:
    """Every record behind the tables, once, in the order of the cells."""
    return list({p.path: p for table in shown for cell in table.cells for p in cell.evidence}.values())
