"""Claims: sentences of the papers as predicates over cells, each with its test and its verdict.

``claims.yaml`` of each paper's folder holds them, a list of these fields:

    id          begins with the experiment
    sentence    the paper's words; where: its place
    predicate   what is tested, in our words
    kind        better       the first side scores higher than the second (quantifier each: at every setting;
                             any: at one setting at least, and significantly lower at none)
                widening     the first side's lead over the second grows with the setting
                below        the first side's 95 % interval lies below ``threshold`` at every setting
                share        the first side is better than the second, or within ``tolerance`` (relative) of it, on
                             ``share`` of the settings
                mean_better  the first side's lead over the second, averaged over the settings, is above zero
    first, second  {experiment, arm}; the experiment may be left out when both are the claim's own
    settings    the settings that the sentence speaks of

Each kind of predicate has a module here. Verdicts:

    supported        the test says so at the 5 % level
    not_supported    the test says the contrary at that level
    undecided        neither; or a setting that the claim needs has no record
    not_comparable   the scale cut more than replicas
    not_attempted    none of its settings has records for both sides
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from structgrad.experiments import PAPERS
from structgrad.files import write_bytes
from structgrad.repro.claims.below import below
from structgrad.repro.claims.better import better
from structgrad.repro.claims.mean_better import mean_better
from structgrad.repro.claims.share import share
from structgrad.repro.claims.values import Claim, Decision
from structgrad.repro.claims.widening import widening
from structgrad.repro.judging.cells import Cell, Cells
from structgrad.repro.judging.significance import ALPHA
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import Plan

VERDICTS = ("supported", "not_supported", "undecided", "not_comparable", "not_attempted")
ByPlace = Mapping[tuple[str, str, str, str], Cell]  # by experiment, setting, arm and metric

# Each takes the claim, the cells of its sides by setting, and the settings that lack records.
KINDS: Mapping[str, Callable[[Claim, Mapping[str, Sequence[Cell]], Sequence[str]], Decision]] = {
    "better": better,
    "widening": widening,
    "below": below,
    "share": share,
    "mean_better": mean_better,
}


@cache
def claims() -> tuple[Claim, ...]:
    """Every claim of the papers, in their order; a paper without ``claims.yaml`` has none."""
    paths = (files(f"structgrad.experiments.{paper}") / "claims.yaml" for paper in PAPERS)
    return tuple(
        claim for path in paths if path.is_file() for claim in yaml.safe_load(path.read_text(encoding="utf-8"))
    )


def judge_claims(plan: Plan, cells: Cells) -> list[dict[str, Any]]:
    """Every claim about the plan's experiments: the sentence, its verdict, and the numbers that led to it."""
    by_place = {
        (name, cell.setting, cell.arm.name, cell.metric.name): cell for name, own in cells.items() for cell in own
    }
    return [
        {
            **{key: claim[key] for key in ("id", "sentence", "where", "predicate", "kind", "metric")},
            **_judge(claim, plan, by_place),
        }
        for claim in claims()
        if all(side["experiment"] in plan.experiments for side in sides(claim))
    ]


def build_claims(plan: Plan, cells: Cells) -> bytes:
    """The content of ``results/<scale>/claims.json``."""
    content: dict[str, Any] = {"schema": "structgrad.claims/1", "scale": plan.scale, "level": ALPHA}
    content["claims"] = judge_claims(plan, cells)
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def write_claims(plan: Plan, cells: Cells) -> Path:
    """Write :func:`build_claims` and return the path."""
    path = results(plan.scale) / "claims.json"
    write_bytes(path, build_claims(plan, cells))
    return path


def sides(claim: Claim) -> list[Mapping[str, str]]:
    """The claim's sides as {experiment, arm}."""
    return [{"experiment": claim["experiment"], **claim[key]} for key in ("first", "second") if key in claim]


def _judge(claim: Claim, plan: Plan, by_place: ByPlace) -> dict[str, Any]:
    pairs = {setting: _sides_at(claim, setting, by_place) for setting in claim["settings"]}
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


def _sides_at(claim: Claim, setting: str, by_place: ByPlace) -> list[Cell]:
    return [by_place[side["experiment"], setting, side["arm"], claim["metric"]] for side in sides(claim)]
