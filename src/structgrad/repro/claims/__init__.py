"""Claims: sentences of the papers, and questions of ours, as predicates over cells, each with its test and its verdict.

``claims.yaml`` of each paper's folder holds them, a list of these fields:

    id          begins with the experiment
    of          paper: the sentence is the paper's and the predicate says no more; ours: the predicate asks of an arm,
                a reading or an average of ours what the sentence does not speak of
    sentence    the paper's words; where: its place
    predicate   what is tested, in our words; note: what else a reader must know
    kind        better       the first side scores higher than the second (quantifier each: at every setting; any: at
                             one setting at least and at none lower, where the sentence says so)
                widening     the first side's lead over the second grows with the setting
                below        the first side's 95 % interval lies below ``threshold`` at every setting; above: above it
                alike        the two sides differ by less than ``threshold``, in the metric's unit, at every setting
                share        the first side is better than the second, or within ``tolerance`` (relative) of it, on
                             ``share`` of the settings
                mean_better  the first side's lead over the second, averaged over the settings, is above zero
                peak         the first side scores better at the first of the settings than at each of the others
                plateau      at each of them it scores as at the first, or at most ``tolerance`` (relative) worse
                steadier     single items scatter less under the first side than under the second, at every setting
    first, second  {experiment, arm}; the experiment may be left out when both are the claim's own. ``column`` in place
                of ``arm`` names a printed column: its main reading at each setting; ``columns`` several ones of a
                table of searches, whose trials are one search then, of which the best counts
    settings    the settings that the sentence speaks of: one family, whichever of them have records
    experiment  null where no experiment can decide it yet; ``needs`` says what would

Each kind of predicate has a module here. Verdicts:

    supported        the test says so at the 5 % level
    not_supported    the test says the contrary at that level
    ..._at_reduced_scale  the same, where the scale cuts the protocol of a cell that it used: a conceptual replication,
                     which says nothing of the paper's own protocol and is never counted with the ones above
    undecided        neither; or a setting that the claim needs has no record
    not_attempted    none of its settings has records for both sides, or no experiment exists

``printed`` is the same predicate on the paper's own numbers (:mod:`structgrad.repro.claims.printed`), ``after_results``
and ``fixed`` are the register's (:mod:`structgrad.repro.judging.register`). Where a main reading took another arm's
place, ``original_reading`` judges the claim once more with that arm.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

from structgrad.experiments import PAPERS, REGISTRY, Experiment
from structgrad.files import write_bytes
from structgrad.repro.claims.across import peak, plateau
from structgrad.repro.claims.alike import alike
from structgrad.repro.claims.beside import above, below
from structgrad.repro.claims.better import better
from structgrad.repro.claims.mean_better import mean_better
from structgrad.repro.claims.printed import on_print
from structgrad.repro.claims.share import share
from structgrad.repro.claims.sides import arms_of, one_search, sides
from structgrad.repro.claims.steadier import steadier
from structgrad.repro.claims.values import Claim, Decision
from structgrad.repro.claims.widening import widening
from structgrad.repro.documents import parse_yaml
from structgrad.repro.judging.cells import Cell, Cells
from structgrad.repro.judging.register import of_claim, original_of
from structgrad.repro.judging.significance import ALPHA
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import Plan

REDUCED = "_at_reduced_scale"
VERDICTS = (
    "supported", "not_supported", f"supported{REDUCED}", f"not_supported{REDUCED}", "undecided", "not_attempted",
)  # fmt: skip
SHOWN = ("id", "of", "sentence", "where", "predicate", "note", "kind", "metric")
ByPlace = Mapping[tuple[str, str, str, str], Cell]  # by experiment, setting, arm and metric

# Each takes the claim, the cells of its sides by setting, and the settings that lack records.
KINDS: Mapping[str, Callable[[Claim, Mapping[str, Sequence[Cell]], Sequence[str]], Decision]] = {
    "better": better,
    "widening": widening,
    "below": below,
    "above": above,
    "alike": alike,
    "share": share,
    "mean_better": mean_better,
    "steadier": steadier,
    "peak": peak,
    "plateau": plateau,
}


@cache
def claims() -> tuple[Claim, ...]:
    """Every claim of the papers, in their order; a paper without ``claims.yaml`` has none."""
    paths = {paper: files(f"structgrad.experiments.{paper}") / "claims.yaml" for paper in PAPERS}
    return tuple(
        {"paper": paper, "of": "paper"} | claim
        for paper, path in paths.items()
        if path.is_file()
        for claim in parse_yaml(path.read_text(encoding="utf-8"), str(path))
    )


def judge_claims(plan: Plan, cells: Cells) -> list[dict[str, Any]]:
    """Every claim about the plan's experiments: the sentence, its verdict, and the numbers that led to it."""
    by_place = {
        (name, cell.setting, cell.arm.name, cell.metric.name): cell for name, own in cells.items() for cell in own
    }
    return [_judged(claim, plan, by_place) for claim in claims() if _concerns(claim, plan)]


def build_claims(plan: Plan, cells: Cells) -> bytes:
    """The content of ``results/<scale>/claims.json``."""
    content: dict[str, Any] = {"schema": "structgrad.claims/2", "scale": plan.scale, "level": ALPHA}
    content["claims"] = judge_claims(plan, cells)
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def write_claims(plan: Plan, cells: Cells) -> Path:
    """Write :func:`build_claims` and return the path."""
    path = results(plan.scale) / "claims.json"
    write_bytes(path, build_claims(plan, cells))
    return path


def _concerns(claim: Claim, plan: Plan) -> bool:
    """Whether the plan has its experiments; one without an experiment belongs to plans of its whole paper."""
    if claim["experiment"] is None:
        whole = {experiment.name for experiment in REGISTRY.values() if experiment.paper == claim["paper"]}
        return whole <= {*plan.experiments, *plan.absent}
    return all(side["experiment"] in plan.experiments for side in sides(claim))


def _judged(claim: Claim, plan: Plan, by_place: ByPlace) -> dict[str, Any]:
    entry = of_claim(claim["id"])
    experiments = {name: part.experiment for name, part in plan.experiments.items()}
    judged = {key: claim.get(key) for key in SHOWN}
    judged |= {"fixed": entry and entry.fixed, "after_results": entry and entry.after_results}
    judged |= {"printed": on_print(claim, experiments)} | _judge(claim, plan, by_place)
    before = _original_sides(claim, experiments)
    judged["original_reading"] = None
    if before:
        again = _judge(claim, plan, by_place, before)
        shown = {key: again[key] for key in ("verdict", "reason", "missing", "cells")}
        arms = sorted(set(chain(*before.values())))
        judged["original_reading"] = {"arms": arms, **shown}
    return judged


def _judge(
    claim: Claim, plan: Plan, by_place: ByPlace, instead: Mapping[tuple[int, str], list[str]] | None = None
) -> dict[str, Any]:
    """The verdict; ``instead`` names the arms of sides that have others, by side and setting."""
    if claim["experiment"] is None:
        return {"verdict": "not_attempted", "reason": f"needs {claim['needs']}", "results": [], "cut": None,
                "missing": [], "cells": [], "records": []}  # fmt: skip
    groups = {setting: _sides_at(claim, setting, plan, by_place, instead or {}) for setting in claim["settings"]}
    pairs = {setting: [one_search(side) for side in both] for setting, both in groups.items()}
    held = {setting: pair for setting, pair in pairs.items() if all(cell.estimate for cell in pair)}
    missing = [setting for setting in claim["settings"] if setting not in held]
    used = [cell for setting in held for side in groups[setting] for cell in side]
    cuts = (plan.experiments[cell.experiment.name].cut(cell.setting, cell.arm.name) for cell in used)
    cut = next((reason for reason in cuts if reason is not None), None)
    shown = {
        "cut": cut,
        "missing": missing,
        "cells": [cell.id for cell in used],
        "records": sorted({piece.mark for cell in used for piece in cell.evidence}),
    }
    if not held:
        return {"verdict": "not_attempted", "reason": "no setting has records for it", "results": [], **shown}
    verdict, reason, details = KINDS[claim["kind"]](claim, held, missing)
    if cut is not None and verdict != "undecided":
        verdict, reason = f"{verdict}{REDUCED}", f"{reason}; the scale cuts the protocol: {cut}"
    return {"verdict": verdict, "reason": reason, "results": details, **shown}


def _sides_at(
    claim: Claim, setting: str, plan: Plan, by_place: ByPlace, instead: Mapping[tuple[int, str], list[str]]
) -> list[list[Cell]]:
    groups = []
    for place, side in enumerate(sides(claim)):
        experiment = plan.experiments[side["experiment"]].experiment
        names = instead.get((place, setting)) or [arm.name for arm in arms_of(side, setting, experiment)]
        groups.append([by_place[experiment.name, setting, name, claim["metric"]] for name in names])
    return groups


def _original_sides(claim: Claim, experiments: Mapping[str, Experiment]) -> dict[tuple[int, str], list[str]]:
    """Of a claim of the paper, the arms of a side that has one which took the place of another, by side and setting:
    those that answered its columns first.
    """
    if claim["experiment"] is None or claim.get("of") == "ours":
        return {}
    originals = {}
    for place, side in enumerate(sides(claim)):
        experiment = experiments[side["experiment"]]
        for setting in claim["settings"]:
            arms = arms_of(side, setting, experiment)
            first = [original_of(experiment, setting, arm) or arm for arm in arms]
            if first != arms:
                originals[place, setting] = [arm.name for arm in first]
    return originals
