"""Claims: sentences of the papers as predicates over cells, each with its test and its verdict.

``claims.yaml`` holds them. Verdicts:

    supported        the test says so at the 5 % level (family-wise over the settings, by Holm)
    not_supported    the test says the contrary at that level, at one setting at least
    undecided        neither; or a setting that the claim needs has no record
    not_comparable   the scale cut more than replicas
    not_attempted    none of its settings has records for both sides
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from math import log
from pathlib import Path
from typing import Any

import yaml

from structgrad.experiments import Metric
from structgrad.files import write_bytes
from structgrad.repro.cells import Cell, collect, per_replica, seed_of
from structgrad.repro.numbers import position
from structgrad.repro.paths import results
from structgrad.repro.plan import Plan
from structgrad.repro.significance import ALPHA, holm, paired, slope, unpaired

VERDICTS = ("supported", "not_supported", "undecided", "not_comparable", "not_attempted")
Claim = Mapping[str, Any]
Cells = Mapping[tuple[str, str, str, str], Cell]


@cache
def claims() -> tuple[Claim, ...]:
    """Every claim of ``claims.yaml``."""
    return tuple(yaml.safe_load((files("structgrad.repro") / "claims.yaml").read_text(encoding="utf-8")))


def judge_claims(plan: Plan) -> list[dict[str, Any]]:
    """Every claim about the plan's experiments: the sentence, its verdict, and the numbers that led to it."""
    cells: Cells = {
        (name, cell.setting, cell.arm.name, cell.metric.name): cell
        for name in plan.experiments
        for cell in collect(plan, name)
    }
    return [
        {
            **{key: claim[key] for key in ("id", "sentence", "where", "predicate", "kind", "metric")},
            **_judge(claim, plan, cells),
        }
        for claim in claims()
        if all(side["experiment"] in plan.experiments for side in sides(claim))
    ]


def build_claims(plan: Plan) -> bytes:
    """The content of ``results/<scale>/claims.json``."""
    content: dict[str, Any] = {"schema": "structgrad.claims/1", "scale": plan.scale, "level": ALPHA}
    content["claims"] = judge_claims(plan)
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def write_claims(plan: Plan) -> Path:
    """Write :func:`build_claims` and return the path."""
    path = results(plan.scale) / "claims.json"
    write_bytes(path, build_claims(plan))
    return path


def sides(claim: Claim) -> list[Mapping[str, str]]:
    """The claim's sides as {experiment, arm}."""
    return [{"experiment": claim["experiment"], **claim[key]} for key in ("first", "second") if key in claim]


def _judge(claim: Claim, plan: Plan, cells: Cells) -> dict[str, Any]:
    pairs = {setting: _sides_at(claim, setting, cells) for setting in claim["settings"]}
    held = {setting: pair for setting, pair in pairs.items() if all(cell.estimate for cell in pair)}
    missing = [setting for setting in claim["settings"] if setting not in held]
    used = {
        "missing": missing,
        "cells": [cell.id for pair in held.values() for cell in pair],
        "records": sorted({piece.mark for pair in held.values() for cell in pair for piece in cell.evidence}),
    }
    if not held:
        return {"verdict": "not_attempted", "reason": "no setting has records for it", "results": [], **used}
    verdict, reason, details = KINDS[claim["kind"]](claim, held, missing)
    parts = [plan.experiments[side["experiment"]] for side in sides(claim)]
    cut = next((part.reason for part in parts if not part.comparable), None)
    if cut is not None:
        verdict, reason = "not_comparable", f"the scale cuts the protocol: {cut}"
    return {"verdict": verdict, "reason": reason, "results": details, **used}


def _sides_at(claim: Claim, setting: str, cells: Cells) -> list[Cell]:
    return [cells[side["experiment"], setting, side["arm"], claim["metric"]] for side in sides(claim)]


def _better(
    claim: Claim, held: Mapping[str, Sequence[Cell]], missing: Sequence[str]
) -> tuple[str, str, list[dict[str, Any]]]:
    tests = []
    for setting, (first, second) in held.items():
        x, y = _values(first), _values(second)
        sign = 1 if first.metric.higher_is_better else -1
        common = _pairs(first, second)
        if common:
            differences = [sign * (x[r] - y[r]) for r in common]
            family, seed = len(held), seed_of(f"{claim['id']}/{setting}")
            up, down = (paired(differences, side, family, seed) for side in ("greater", "less"))
        else:
            a, b = ([sign * value for value in side.values()] for side in (x, y))
            up, down = unpaired(a, b, "greater"), unpaired(a, b, "less")
        lead = sign * (_point(first) - _point(second))
        replicas = f"{len(common)} pairs" if common else f"{len(x)} against {len(y)}"
        tests.append((setting, lead, up, down, replicas))
    ups, downs = holm([test[2] for test in tests]), holm([test[3] for test in tests])
    details = [
        {
            "setting": setting,
            "lead": _round(lead),
            "replicas": replicas,
            "p_better": _round(up),
            "p_worse": _round(down),
            "outcome": "better" if up <= ALPHA else "worse" if down <= ALPHA else "open",
        }
        for (setting, lead, _, _, replicas), up, down in zip(tests, ups, downs, strict=True)
    ]
    found: dict[str, list[str]] = {"better": [], "worse": [], "open": []}
    for detail in details:
        found[detail["outcome"]].append(detail["setting"])
    reason = "; ".join(f"{outcome} at {', '.join(where)}" for outcome, where in found.items() if where)
    if missing:
        reason += f"; not run at {', '.join(missing)}"
    if found["worse"]:
        return "not_supported", reason, details
    enough = not found["open"] and not missing if claim["quantifier"] == "each" else bool(found["better"])
    return ("supported" if enough else "undecided"), reason, details


def _widening(
    claim: Claim, held: Mapping[str, Sequence[Cell]], missing: Sequence[str]
) -> tuple[str, str, list[dict[str, Any]]]:
    details, places, samples = [], [], []
    for setting, (first, second) in held.items():
        x, y = _values(first), _values(second)
        sign = 1 if first.metric.higher_is_better else -1
        shared = sorted(set(x) & set(y))
        places.append(log(float(position(setting, first.experiment.settings))))
        samples.append([sign * (x[r] - y[r]) for r in shared])
        lead = sum(samples[-1]) / len(shared)
        details.append({"setting": setting, "lead": _round(lead), "replicas": len(shared)})
    if missing or min(map(len, samples)) < 2:
        wanting = f"not run at {', '.join(missing)}" if missing else "a single replica"
        return "undecided", wanting, details
    value, low, high = slope(places, samples, seed_of(claim["id"]))
    verdict = "supported" if low > 0 else "not_supported" if high < 0 else "undecided"
    reason = f"the lead changes by {value:.2f} per unit of log {details[0]['setting'].partition('=')[0]}"
    return verdict, f"{reason} [{low:.2f}, {high:.2f}]", details


def _below(
    claim: Claim, held: Mapping[str, Sequence[Cell]], missing: Sequence[str]
) -> tuple[str, str, list[dict[str, Any]]]:
    limit, details = float(claim["threshold"]), []
    for setting, (cell,) in held.items():
        ours = cell.estimate
        assert ours is not None  # held has no cell without one
        outcome = "open"
        if ours.low is not None and ours.high is not None:
            outcome = "below" if ours.high < limit else "above" if ours.low > limit else "open"
        interval = [None if end is None else _round(end) for end in (ours.low, ours.high)]
        details.append(
            {"setting": setting, "value": _round(ours.value), "interval": interval, "replicas": ours.n,
             "outcome": outcome}
        )  # fmt: skip
    reason = "; ".join(f"{detail['outcome']} {limit:g} at {detail['setting']}" for detail in details)
    if missing:
        reason += f"; not run at {', '.join(missing)}"
    outcomes = {detail["outcome"] for detail in details}
    if "above" in outcomes:
        return "not_supported", reason, details
    return ("supported" if outcomes == {"below"} and not missing else "undecided"), reason, details


KINDS: Mapping[str, Callable[..., tuple[str, str, list[dict[str, Any]]]]] = {
    "better": _better,
    "widening": _widening,
    "below": _below,
}


def _values(cell: Cell) -> dict[int, float]:
    """Each replica's own value, in the metric's unit."""
    top, bottom = ("successes", "trials") if cell.metric.kind == "proportion" else ("sum", "count")
    reports = per_replica(cell.evidence, cell.metric)
    return {r: _unit(report, top, bottom, cell.metric) for r, report in sorted(reports.items())}


def _unit(report: Mapping[str, float], top: str, bottom: str, metric: Metric) -> float:
    return report[top] / report[bottom] * metric.factor


def _point(cell: Cell) -> float:
    assert cell.estimate is not None
    return cell.estimate.value


def _pairs(first: Cell, second: Cell) -> list[int]:
    """The replicas that both sides trained on the same data (equal data seeds)."""
    a, b = _data_seeds(first), _data_seeds(second)
    return sorted(replica for replica in set(a) & set(b) if a[replica] == b[replica])


def _data_seeds(cell: Cell) -> dict[int, int]:
    return {
        piece.record["replicas"]["first"] + index: seed
        for piece in cell.evidence
        for index, seed in enumerate(piece.record["seeds"].get("data", ()))
    }


def _round(value: float) -> float:
    return float(f"{value:.6f}") + 0.0
