"""The report: one self-contained page with the tables, figures, claims, costs and provenance of a scale.

Everything in it is derived from the records, and nothing depends on the day it is written: it rebuilds byte for
byte, and the audit checks that it does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from structgrad.experiments import PAPERS, Experiment, LearningCurves, Lines, Scatter
from structgrad.files import write_bytes
from structgrad.repro import claims
from structgrad.repro.evidence.gathering import Evidence
from structgrad.repro.figures import training_curves
from structgrad.repro.figures.files import KINDS, build_figures, called
from structgrad.repro.judging.cells import Cells
from structgrad.repro.judging.verdicts import VERDICTS
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import Plan
from structgrad.repro.report import manifest, rocrate, rows
from structgrad.repro.tables.layouts import to_html
from structgrad.repro.tables.panels import MARKS, Table, tables


def write_report(plan: Plan, cells: Cells) -> list[Path]:
    """Write the page, the research object's metadata and, last of all, the manifest; their paths."""
    page, crate = results(plan.scale) / "report.html", results(plan.scale) / rocrate.NAME
    write_bytes(page, build_report(plan, cells))
    write_bytes(crate, rocrate.build_crate(plan))
    return [page, crate, manifest.write(plan.scale)]


def build_report(plan: Plan, cells: Cells) -> bytes:
    """The content of ``report.html``."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    shown = tables(plan, cells)
    evidence = _evidence(shown.values())
    drawn = {path.name: content for path, content in build_figures(plan, cells).items()}
    sections = []
    for name, table in shown.items():
        experiment = plan.experiments[name].experiment
        stem = table.stem
        training = training_curves.draw(experiment, evidence)
        sections.append(
            {
                "id": stem,
                "heading": table.heading,
                "table": Markup(_with_caption(to_html(table, ""), caption(experiment, stem))),
                "figures": [_figure(figure, experiment, drawn) for figure in experiment.figures],
                "curves": training and Markup(inline(training, f"{stem}-curves-", f"Training, {table.heading}")),
            }
        )
    environment = Environment(
        loader=PackageLoader("structgrad.repro", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    judged = claims.judge_claims(plan, cells)
    page = environment.get_template("report.html.j2").render(
        scale=plan.scale,
        standing=[(part.experiment, part.comparable, part.reason) for part in plan.experiments.values()],
        verdicts=[(verdict, MARKS[verdict], meaning) for verdict, meaning in VERDICTS.items()],
        counts=[rows.verdict_counts(table) for table in shown.values()],
        outside=[rows.outside(cell) for table in shown.values() for cell in table.cells if rows.is_outside(cell)],
        sections=sections,
        clocks=" / ".join(dict.fromkeys(f"{part.experiment.clock}s" for part in plan.experiments.values())),
        searches=any(part.experiment.selected_by for part in plan.experiments.values()),
        claims=judged,
        claim_counts=Counter(claim["verdict"] for claim in judged if claim["of"] == "paper"),
        papers_claims=sum(claim["of"] == "paper" for claim in judged),
        claim_verdicts=claims.VERDICTS,
        costs=[rows.cost(piece, plan) for piece in evidence],
        total=rows.duration(sum(piece.record["run"]["seconds"] for piece in evidence)),
        origins=rows.origins(evidence),
        example=next((cell.id for table in shown.values() for cell in table.cells if cell.estimate), None),
        records=len(evidence),
        shards=len(plan.shards),
        data_licences=_data_licences(plan),
    )
    return page.encode("utf-8")


def _data_licences(plan: Plan) -> list[str]:
    """The note on licences of each paper whose experiments read data of others."""
    named = dict.fromkeys(part.experiment.paper for part in plan.experiments.values())
    return [PAPERS[name].data_licence for name in named if PAPERS[name].data_licence]


def _figure(
    figure: Lines | Scatter | LearningCurves, experiment: Experiment, drawn: Mapping[str, bytes]
) -> dict[str, Any]:
    """A figure as the page shows it: one with a name of its own has its own heading and caption."""
    from markupsafe import Markup

    stem, name = experiment.stem_of(figure), called(figure, experiment)
    return {
        "id": stem,
        "heading": figure.name and (figure.title or name),
        "caption": Markup(caption(experiment, stem)) if figure.name else "",
        "picture": Markup(inline(drawn[f"{stem}.svg"], f"{stem}-", f"Figure of {name}")),
        "name": name,
        "reading": KINDS[type(figure)].reading(figure, experiment),
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


def inline(svg: bytes, prefix: str, label: str) -> str:
    """An svg file as an element of a page: no prolog, ids that are its own, a label for screen readers."""
    from html import escape

    text = svg.decode("utf-8")
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{prefix}', text)
    text = re.sub(r'href="#', f'href="#{prefix}', text).replace("url(#", f"url(#{prefix}")
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(label, quote=True)}"', 1)


def _evidence(shown: Iterable[Table]) -> list[Evidence]:
    """Every record behind the tables, once, in the order of the cells."""
    return list({p.path: p for table in shown for cell in table.cells for p in cell.evidence}.values())


def _with_caption(fragment: str, text: str) -> str:
    return fragment.replace("</h2>", f'</h2>\n<div class="caption">{text}</div>', 1)
