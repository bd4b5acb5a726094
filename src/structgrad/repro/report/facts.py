"""What a cell's panel on the page shows: one compact JSON for all cells, whose rows and records are lists.

``cells`` hold what :data:`CELL` names, in that order, ``records`` what :data:`RECORD` names; a cell names its records
by their place, and its reason and notes, which many cells share, by theirs among the ``texts``. The script that reads
them (``templates/report/panel.js``) gets both lists of names along.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from structgrad.repro.evidence.gathering import Evidence, per_replica, value_of
from structgrad.repro.judging.cells import Cell
from structgrad.repro.judging.numbers import MORE_DIGITS, fixed
from structgrad.repro.judging.summary import Answer
from structgrad.repro.judging.verdicts import OUTCOMES
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import Plan, load_plan
from structgrad.repro.report.deviations import link
from structgrad.repro.report.explain import FULL
from structgrad.repro.report.rows import SHORT, duration
from structgrad.repro.report.words import doubt

CELL = (
    "id", "scale", "title", "verdict", "strong", "kind", "unit", "value", "low", "high", "spread", "n", "over",
    "printed", "printedSpread", "notes", "reason", "first", "replicas", "records", "commands", "deviations",
)  # fmt: skip
RECORD = ("path", "replicas", "seeds", "sources", "commit", "machine", "time", "finished", "command")
NAMED = 3  # commands of a cell that has not run; a search has as many as trials


@dataclass
class Facts:
    """The facts of the cells that the page shows, each once; :meth:`place` is how elements name them."""

    plan: Plan
    places: dict[str, int] = field(default_factory=dict)
    cells: list[list[Any]] = field(default_factory=list)
    records: dict[str, list[Any]] = field(default_factory=dict)
    sections: dict[str, int] = field(default_factory=dict)
    texts: dict[str, int] = field(default_factory=dict)
    full: Plan | None = None

    def place(self, cell: Cell) -> int:
        """The place of a cell's facts, which are gathered the first time that it is asked for."""
        name = f"{cell.scale} {cell.id}"
        if name not in self.places:
            self.places[name] = len(self.cells)
            self.cells.append(self._cell(cell))
        return self.places[name]

    def place_of(self, square: Answer) -> int:
        """The place of a printed number's facts."""
        if square.cell is not None:
            return self.place(square.cell)
        if square.id not in self.places:
            theirs = square.published
            named: dict[str, Any] = dict.fromkeys(CELL)
            named |= {"id": square.id, "title": f"{square.metric}, {square.row}, {square.column}"}
            named |= {"verdict": square.verdict, "unit": theirs.unit}
            named |= {
                "printed": theirs.text,
                "printedSpread": theirs.spread_text,
                "reason": self._text(OUTCOMES[square.verdict].meaning),
            }
            self.places[square.id] = len(self.cells)
            self.cells.append(list(named.values()))
        return self.places[square.id]

    def link(self, cell: Cell) -> str:
        """Where the first of a cell's records lies, seen from the page."""
        return _link(cell.evidence[0], self.plan)

    def as_json(self) -> str:
        """The block of data, safe within an element of a page."""
        content = {
            "marks": {name: verdict.mark for name, verdict in OUTCOMES.items()},
            "cell": CELL,
            "record": RECORD,
            "cells": self.cells,
        }
        content |= {"records": list(self.records.values()), "deviations": list(self.sections)}
        content["texts"] = list(self.texts)
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")

    def _cell(self, cell: Cell) -> list[Any]:
        ours, theirs, verdict, digits = cell.estimate, cell.published, cell.judgement, cell.metric.digits
        searches = cell.experiment.searches(cell.arm.name)
        notes = [cell.arm.note, doubt(cell), theirs.note if theirs else ""]
        named: Mapping[str, Any] = {
            "id": cell.id,
            "scale": cell.scale,
            "title": f"{cell.metric.title}, {cell.arm.column}, {cell.setting}",
            "verdict": verdict.verdict,
            "strong": int(verdict.equivalent),
            "kind": kind_of(cell),
            "unit": cell.metric.unit,
            "value": fixed(ours.value, digits) if ours else None,
            "low": fixed(ours.low, digits) if ours else None,
            "high": fixed(ours.high, digits) if ours else None,
            "spread": fixed(ours.spread, digits) if ours else None,
            "n": ours.n if ours else 0,
            "over": "trials, one of which is selected"
            if searches
            else "folds"
            if cell.experiment.folds
            else "replicas",
            "printed": theirs.text if theirs else None,
            "printedSpread": theirs.spread_text if theirs else None,
            "notes": [self._text(note) for note in notes if note],
            "reason": self._text(verdict.reason),
            "first": verdict.first,
            "replicas": _replicas(cell),
            "records": [self._record(piece) for piece in cell.evidence],
            "commands": self._commands(cell),
            "deviations": self._deviations(cell.experiment.name),
        }
        return [named[name] for name in CELL]

    def _record(self, piece: Evidence) -> int:
        path = _link(piece, self.plan)
        if path not in self.records:
            self.records[path] = _record(path, piece.record)
        return list(self.records).index(path)

    def _text(self, text: str) -> int:
        """The place of what is said of one cell or more."""
        return self.texts.setdefault(text, len(self.texts))

    def _deviations(self, experiment: str) -> int:
        """The place of what docs/deviations.md says of an experiment."""
        return self.sections.setdefault(link(experiment), len(self.sections))

    def _commands(self, cell: Cell) -> list[str]:
        """What makes a cell that has not run; one that has finds it in its records."""
        if cell.evidence:
            return []
        for plan in self._plans():
            shards = plan.shards_of(cell.experiment.name, cell.setting, cell.arm.name)
            if shards:
                told = [f"structgrad run {shard.id} --scale {plan.scale}" for shard in shards[:NAMED]]
                return told + ([f"# and {len(shards) - NAMED} more like these"] if len(shards) > NAMED else [])
        return []

    def _plans(self) -> Iterable[Plan]:
        yield self.plan
        if self.plan.scale != FULL:
            self.full = self.full or load_plan(FULL)
            yield self.full


def _link(piece: Evidence, plan: Plan) -> str:
    """Where a record lies, seen from the page; another scale's is beside it."""
    scale = piece.record["scale"]
    path = str(PurePosixPath(*piece.path.relative_to(results(scale)).parts))
    return path if scale == plan.scale else f"../{scale}/{path}"


def kind_of(cell: Cell) -> str:
    """Whether it answers a printed number, is a further reading of one, or stands alone."""
    return "answer" if cell.is_answer else "further" if cell.published else "ours"


def _replicas(cell: Cell) -> list[Any]:
    """Every replica's value, in order of size; one that occurs more than once as [value, times]."""
    digits = cell.metric.digits + MORE_DIGITS - 1
    reports = per_replica(cell.evidence, cell.metric).values()
    counts = Counter(float(fixed(value_of(report, cell.metric), digits)) for report in reports)
    return [[value, counts[value]] if counts[value] > 1 else value for value in sorted(counts)]


def _record(path: str, record: Mapping[str, Any]) -> list[Any]:
    made, ran, replicas = record["provenance"], record["run"], record["replicas"]
    changed = ", with uncommitted changes" if made["git_dirty"] else ""
    machine = ran["hardware"].get("gpu") or ran["hardware"].get("processor", "")
    last = replicas["first"] + replicas["count"] - 1
    named: Mapping[str, Any] = {
        "path": path,
        "replicas": f"{replicas['first']} to {last}" if replicas["count"] > 1 else str(last),
        "seeds": "; ".join(f"{role} {_span(values)}" for role, values in record["seeds"].items()),
        "sources": made["source_digest"][:SHORT],
        "commit": (made["git_commit"] or "unknown")[:SHORT] + changed,
        "machine": f"{machine}, {ran['device']}, {ran['threads']} thread{'s' if ran['threads'] > 1 else ''}",
        "time": f"{duration(ran['seconds'])}, {ran['peak_memory_mb']:.0f} MB",
        "finished": ran["finished"][:10],
        "command": made["command"],
    }
    return [named[name] for name in RECORD]


def _span(values: list[int]) -> str:
    return ", ".join(map(str, values)) if len(values) <= 2 else f"{values[0]} ... {values[-1]}"
