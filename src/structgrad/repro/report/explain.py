"""Where one number comes from: the cell, the rule's reasoning, and every record behind it."""

from __future__ import annotations

from typing import Any

from structgrad.repro.evidence.gathering import Evidence
from structgrad.repro.factors.pages import page_behind
from structgrad.repro.judging.cells import Cell, cell_id, find
from structgrad.repro.judging.numbers import MORE_DIGITS, fixed
from structgrad.repro.judging.register import of_margin, of_reading, original_of
from structgrad.repro.judging.trials import trials_of
from structgrad.repro.judging.verdicts import APART
from structgrad.repro.planning.paths import project_root
from structgrad.repro.planning.plan import Plan, load_plan
from structgrad.repro.running.levels import promise, weakest

FULL = "paper"  # the scale that runs everything


def explain(plan: Plan, identity: str) -> dict[str, Any]:
    """Everything known about a cell, as data.

    Raises:
        UserError: no such cell; the line names the nearest.
    """
    return facts_of(plan, find(plan, identity))


def facts_of(plan: Plan, cell: Cell) -> dict[str, Any]:
    """The same of a cell that is at hand."""
    ours, theirs, verdict = cell.estimate, cell.published, cell.judgement
    trials = trials_of(cell) if cell.experiment.searches(cell.arm.name) else []
    page = page_behind(cell) if cell.judgement.verdict in APART else None
    behind = [piece.record for piece in cell.evidence]
    return {
        "cell": cell.id,
        "title": f"{cell.metric.title}, {cell.arm.column} at {cell.setting}",
        "scale": cell.scale,
        "unit": cell.metric.unit,
        "digits": cell.metric.digits + MORE_DIGITS,
        "value": ours.value if ours else None,
        "interval": [ours.low, ours.high] if ours else None,
        "spread": ours.spread if ours else None,
        "spread_over": "the selection" if trials else cell.metric.spread,
        "n": ours.n if ours else 0,
        "published": theirs.text if theirs else None,
        "published_spread": (theirs.spread_text or None) if theirs else None,
        "published_note": (theirs.note or None) if theirs else None,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "equivalent": verdict.equivalent,
        "first_verdict": verdict.first or None,
        "factors": str(page.relative_to(project_root())) if page else None,
        "difference": [verdict.difference.value, verdict.difference.low, verdict.difference.high]
        if verdict.difference
        else None,
        "replicas_wanted": verdict.wanted,
        "answer": cell.is_answer,
        "reading": _reading(plan, cell) if cell.is_answer else None,
        "level": weakest(behind),
        "level_declared": cell.experiment.level,
        "promise": promise(cell.experiment, behind),
        "selected_by": cell.experiment.selected_by if trials else None,
        "trials": trials,
        "records": [_record(piece) for piece in cell.evidence],
        "logs": _logs(plan, cell),
        "commands": _commands(plan, cell),
        "cost": None if cell.evidence else _cost(plan, cell),
    }


def as_text(facts: dict[str, Any]) -> str:
    """What :func:`explain` says, as text for people."""
    digits = facts["digits"]
    lines = [facts["cell"], f"  {facts['title']} (scale {facts['scale']})"]
    if facts["value"] is None:
        lines.append("  ours        none")
    else:
        low, high = facts["interval"]
        interval = f" [{fixed(low, digits)}, {fixed(high, digits)}]" if low is not None else " (no interval)"
        spread = fixed(facts["spread"], digits)
        spread = f", spread over {facts['spread_over']} {spread}" if spread else ""
        value = f"{fixed(facts['value'], digits)} {facts['unit']}{interval}"
        lines.append(f"  ours        {value}, n = {facts['n']}{spread}")
    printed = facts["published"] or "none"
    if facts["published_spread"]:
        printed += f" ± {facts['published_spread']}"
    note = f" ({facts['published_note']})" if facts["published_note"] else ""
    lines.append(f"  published   {printed}{note}")
    strong = " (equivalent)" if facts["equivalent"] else ""
    lines.append(f"  verdict     {facts['verdict']}{strong}: {facts['reason']}")
    if facts["first_verdict"]:
        lines.append(f"  first rule  {facts['first_verdict']}")
    if facts["factors"]:
        lines.append(f"  factors     which unstated choices explain the column: {facts['factors']}")
    if facts["reading"]:
        lines += [f"  {name:<12}{words}" for name, words in facts["reading"].items() if words]
    lines.append(f"  level       {facts['promise']}")
    for trial in facts["trials"]:
        scores = f"validation {facts['selected_by']} {trial['validation']:.6g}, test {fixed(trial['value'], digits)}"
        point = ", ".join(f"{name} {number:.4g}" for name, number in trial["point"].items())
        mark = " (selected)" if trial["selected"] else ""
        lines.append(f"  trial {trial['trial']:<6}{scores}; {trial['stopped']} after {trial['steps']}; {point}{mark}")
    for record in facts["records"]:
        lines.append(f"  record      {record['path']}")
        lines += [f"    {name:<9} {value}" for name, value in record.items() if name != "path" and value is not None]
    lines += [f"  log         {path}" for path in facts["logs"]]
    lines.append("  make it again" if facts["records"] else "  make it")
    lines += [f"    {command}" for command in facts["commands"]]
    if facts["cost"]:
        lines.append(f"  it takes    {facts['cost']}")
    return "\n".join(lines)


def _reading(plan: Plan, cell: Cell) -> dict[str, str | None]:
    """Of an answer: when its arm became the main reading and its metric's margin was fixed, and what the arm that
    answered the column before says.
    """
    reading, margin = of_reading(cell.experiment, cell.arm), of_margin(cell.experiment, cell.metric)
    before = original_of(cell.experiment, cell.setting, cell.arm)
    told = None
    if before is not None:
        other = find(plan, cell_id(cell.experiment, cell.setting, before, cell.metric))
        digits = cell.metric.digits + MORE_DIGITS
        value = f"{fixed(other.estimate.value, digits)} {cell.metric.unit}, " if other.estimate else ""
        told = f"{before.column}: {value}{other.judgement.verdict}"
    return {
        "reading": reading and f"the main one, {reading.words}",
        "original": told,
        "margin": margin and margin.words,
    }


def _record(piece: Evidence) -> dict[str, Any]:
    record, made, ran = piece.record, piece.record["provenance"], piece.record["run"]
    seeds = {role: _span(values) for role, values in record["seeds"].items()}
    commit = made["git_commit"] or "unknown"
    return {
        "path": str(piece.path.relative_to(project_root())),
        "digest": record["digest"],
        "level": record.get("level"),
        "replicas": f"{record['replicas']['count']}, from number {record['replicas']['first']}",
        "seeds": "; ".join(f"{role} {span}" for role, span in seeds.items()),
        "source": made["source_digest"],
        "commit": commit + (" (with uncommitted changes)" if made["git_dirty"] else ""),
        "data": made["data_digest"],
        "device": f"{ran['device']}, {ran['threads']} threads",
        "finished": ran["finished"],
        "seconds": ran["seconds"],
        "command": made["command"],
    }


def _span(values: list[int]) -> str:
    return ", ".join(map(str, values)) if len(values) <= 3 else f"{values[0]}, {values[1]}, ... {values[-1]}"


def _commands(plan: Plan, cell: Cell) -> list[str]:
    trained = [piece.record["provenance"]["command"] for piece in cell.evidence]
    if not trained:
        plan = _runs(plan, cell)
    shards = plan.shards_of(cell.experiment.name, cell.setting, cell.arm.name)
    again = [f"{command} --compare" for command in trained]  # the record stays
    training = again or [f"structgrad run {shard.id} --scale {plan.scale}" for shard in shards]
    if not training:
        return [f"(not part of this run; see config.yaml and workflow/scales/{plan.scale}.yaml)"]
    return [*training, f"structgrad tables --scale {plan.scale}"]


def _logs(plan: Plan, cell: Cell) -> list[str]:
    """What became of the trainings of its shards in this checkout."""
    shards = plan.shards_of(cell.experiment.name, cell.setting, cell.arm.name)
    return [str(shard.log.relative_to(project_root())) for shard in shards if shard.log.is_file()]


def _cost(plan: Plan, cell: Cell) -> str | None:
    """What one replica of a cell that has not run costs, where the scale that runs it says so."""
    return _runs(plan, cell).experiments[cell.experiment.name].block(cell.setting, cell.arm.name).cost


def _runs(plan: Plan, cell: Cell) -> Plan:
    """The plan itself, or the paper scale's where the cell is only run there."""
    if plan.shards_of(cell.experiment.name, cell.setting, cell.arm.name):
        return plan
    full = load_plan(FULL)
    return full if full.shards_of(cell.experiment.name, cell.setting, cell.arm.name) else plan
