"""The report: one self-contained page with the tables, figures, claims, costs and provenance of a scale.

Everything in it is derived from the records, and nothing depends on the day it is written: it rebuilds byte for
byte, and the audit checks that it does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

from structgrad.experiments import PAPERS, Experiment, LearningCurves, Lines, Scatter
from structgrad.files import write_bytes
from structgrad.repro import claims
from structgrad.repro.evidence.gathering import Evidence
from structgrad.repro.figures import training_curves
from structgrad.repro.figures.files import KINDS, build_figures, called
from structgrad.repro.judging.cells import Cell, Cells
from structgrad.repro.judging.numbers import fixed
from structgrad.repro.judging.verdicts import VERDICTS
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import Plan
from structgrad.repro.report import manifest, rocrate
from structgrad.repro.tables.layouts import to_html
from structgrad.repro.tables.panels import MARKS, Table, tables

SHORT = 12  # digits of a digest that are shown


def write_report(plan: Plan, cells: Cells) -> list[Path]:
    """Write the page, the research object's metadata and, last of all, the manifest; their paths."""
    page, crate = results(plan.scale) / "report.html", results(plan.scale) / rocrate.NAME
    write_bytes(page, build_report(plan, cells))
    write_bytes(crate, rocrate.build_crate(plan))
    return [page, crate, manifest.write(plan.scale)]


def build_report(plan: Plan, cells: Cells) -> bytes:
    """The page's content."""
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
        counts=[_counts(name, table) for name, table in shown.items()],
        outside=[_outside(cell) for table in shown.values() for cell in table.cells if _is_outside(cell)],
        sections=sections,
        clocks=" / ".join(dict.fromkeys(f"{part.experiment.clock}s" for part in plan.experiments.values())),
        searches=any(part.experiment.selected_by for part in plan.experiments.values()),
        claims=judged,
        claim_counts=Counter(claim["verdict"] for claim in judged),
        claim_verdicts=claims.VERDICTS,
        costs=[_cost(piece, plan) for piece in evidence],
        total=_duration(sum(piece.record["run"]["seconds"] for piece in evidence)),
        origins=_origins(evidence),
        example=next((cell.id for table in shown.values() for cell in table.cells if cell.estimate), None),
        records=len(evidence),
        shards=len(plan.shards),
        data_licences=_data_licences(plan),
    )
    return page.encode("utf-8")


def _data_licences(plan: Plan) -> list[str]:
    """Of each paper whose experiments read the data of others."""
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
    """An svg file as an element of a page: no prolog, ids that are its own, a name for those who hear it."""
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


def _counts(name: str, table: Table) -> dict[str, Any]:
    """Verdicts on the cells that the paper prints a number for; of how many of all cells there are results."""
    printed = [cell for cell in table.cells if cell.published is not None]
    verdicts = Counter(cell.judgement.verdict for cell in printed)
    return {
        "id": table.stem,
        "heading": table.heading,
        "cells": len(printed),
        "by": {verdict: verdicts[verdict] for verdict in VERDICTS},
        "all": len(table.cells),
        "run": sum(cell.estimate is not None for cell in table.cells),
    }


def _is_outside(cell: Cell) -> bool:
    return cell.judgement.verdict in ("close", "differs")


def _outside(cell: Cell) -> dict[str, Any]:
    """A cell that is not reproduced, with the arithmetic of its verdict."""
    ours, theirs, verdict = cell.estimate, cell.published, cell.judgement
    assert ours is not None  # a verdict of ``close`` or ``differs`` has both
    assert theirs is not None
    digits = cell.metric.digits
    return {
        "table": cell.experiment.label or cell.experiment.table,
        "setting": cell.setting,
        "arm": cell.arm.column,
        "metric": cell.metric.title,
        "verdict": verdict.verdict,
        "mark": MARKS[verdict.verdict],
        "ours": fixed(ours.value, digits),
        "interval": f"[{fixed(ours.low, digits)}, {fixed(ours.high, digits)}]",
        "published": theirs.text,
        "apart": fixed(verdict.distance, digits),
        "allowed": fixed(verdict.allowed, digits),
        "unit": cell.metric.unit,
        "id": cell.id,
        "reason": verdict.reason,
    }


def _cost(piece: Evidence, plan: Plan) -> dict[str, Any]:
    record, ran = piece.record, piece.record["run"]
    count = record["replicas"]["count"]
    experiment = plan.experiments[record["experiment"]].experiment
    return {
        "table": experiment.label or experiment.table,
        "setting": record["setting"],
        "arm": experiment.arm(record["arm"]).column,
        "n": count,
        "time": _duration(ran["seconds"]),
        "each": f"{ran['seconds'] / count:.2f}",
        "memory": f"{ran['peak_memory_mb']:.0f}",
        "device": f"{ran['device']}, {ran['threads']} thread{'s' if ran['threads'] > 1 else ''}",
        "machine": ran["hardware"].get("gpu") or ran["hardware"].get("processor", ""),
        "resumed": ran["resumed"],
        "length": _length(record["results"], f"{experiment.clock}s"),
        "digest": piece.mark,
        "link": str(PurePosixPath(*piece.path.relative_to(results(plan.scale)).parts)),
    }


def _length(results: Sequence[Mapping[str, Any]], counted: str) -> str:
    """How long the replicas trained on average, and which of them diverged."""
    mean = sum(result[counted] for result in results) / len(results)
    ends = [f"trial {r['replica']} diverged after {r[counted]}" for r in results if r["stopped"] == "diverged"]
    return ", ".join([f"{mean:.0f}", *ends])


def _origins(evidence: Sequence[Evidence]) -> list[tuple[str, list[tuple[str, int]]]]:
    """What the records say of where they come from: each property, its values, and how many records have each."""
    counts: dict[str, Counter[str]] = {}
    for piece in evidence:
        made, ran = piece.record["provenance"], piece.record["run"]
        changed = " with uncommitted changes" if made["git_dirty"] else ""
        facts: Mapping[str, Any] = {
            "sources": made["source_digest"][:SHORT],
            "commit": (made["git_commit"] or "unknown")[:SHORT] + changed,
            "lock": (made["lock_digest"] or "none")[:SHORT],
            "libraries": ", ".join(f"{name} {version}" for name, version in sorted(made["libraries"].items())),
            "machine": _machine(ran),
        }
        for key, value in facts.items():
            counts.setdefault(key, Counter())[value] += 1
    return [(key, sorted(values.items(), key=lambda item: (-item[1], item[0]))) for key, values in counts.items()]


def _machine(ran: Mapping[str, Any]) -> str:
    hardware = ran["hardware"]
    named = [hardware.get(key) for key in ("gpu", "processor", "system", "machine")]
    cores = hardware.get("cores")
    return ", ".join([str(part) for part in named if part] + ([f"{cores} cores"] if cores else []))


def _duration(seconds: float) -> str:
    """``3725`` as ``1 h 02 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {left:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
