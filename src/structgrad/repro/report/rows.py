"""The rows of the report's own tables: answers that are not reproduced, costs and origins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from structgrad.repro.evidence.gathering import Evidence
from structgrad.repro.factors.pages import page_behind
from structgrad.repro.judging.cells import Cell
from structgrad.repro.judging.numbers import fixed
from structgrad.repro.judging.verdicts import APART, VERDICTS
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import Plan

SHORT = 12  # digits of a digest that are shown


def is_outside(cell: Cell) -> bool:
    """Whether it answers a printed number that lies outside what the verdict allows."""
    return cell.is_answer and cell.judgement.verdict in APART


def outside(cell: Cell) -> dict[str, Any]:
    """A cell that is not reproduced, with the arithmetic of its verdict."""
    ours, theirs, verdict, difference = cell.estimate, cell.published, cell.judgement, cell.judgement.difference
    assert ours is not None  # a verdict of ``shifted`` or ``differs`` has all three
    assert theirs is not None
    assert difference is not None
    digits, page = cell.metric.digits, page_behind(cell)
    return {
        "cell": cell,
        "paper": cell.experiment.paper,
        "table": cell.experiment.heading,
        "setting": cell.setting,
        "arm": cell.arm.column,
        "metric": cell.metric.title,
        "verdict": verdict.verdict,
        "mark": VERDICTS[verdict.verdict].mark,
        "ours": fixed(ours.value, digits),
        "interval": f"[{fixed(ours.low, digits)}, {fixed(ours.high, digits)}]",
        "published": theirs.text,
        "apart": fixed(difference.value, digits),
        "apart_interval": f"[{fixed(difference.low, digits)}, {fixed(difference.high, digits)}]",
        "margin": f"{difference.margin:g}",
        "unit": cell.metric.unit,
        "id": cell.id,
        "reason": verdict.reason,
        "factors": page and f"../factors/{page.name}",
    }


def cost(piece: Evidence, plan: Plan) -> dict[str, Any]:
    """What one record took: time, memory, device, and how long its replicas trained."""
    record, ran = piece.record, piece.record["run"]
    count = record["replicas"]["count"]
    experiment = plan.experiments[record["experiment"]].experiment
    return {
        "paper": experiment.paper,
        "table": experiment.heading,
        "setting": record["setting"],
        "arm": experiment.arm(record["arm"]).column,
        "n": count,
        "time": duration(ran["seconds"]),
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


def origins(evidence: Sequence[Evidence]) -> list[tuple[str, list[tuple[str, int]]]]:
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


def duration(seconds: float) -> str:
    """``3725`` as ``1 h 02 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {left:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
