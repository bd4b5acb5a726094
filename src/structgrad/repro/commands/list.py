"""``structgrad list``: what can be reproduced."""

from __future__ import annotations

import json

import click

from structgrad.experiments import PAPERS
from structgrad.repro.options import json_option, plan_options
from structgrad.repro.planning.plan import NO_BLOCK, Plan
from structgrad.repro.running.levels import MEANINGS


@click.command()
@plan_options
@click.option("--shards", is_flag=True, help="One line per shard, with whether its record exists.")
@click.option("--cells", is_flag=True, help="One line per table cell, as `structgrad explain` takes it.")
@json_option
def command(plan: Plan, shards: bool, cells: bool, as_json: bool) -> None:
    """List the published tables and figures, and the arms and settings that a scale runs for them.

    Examples:

        structgrad list

        structgrad list --shards --scale paper
    """
    if shards:
        rows = [{"shard": shard.id, "record": shard.path.is_file()} for shard in plan.shards]
        states = ["done" if shard.path.is_file() else "no data" if shard.left_out else "to do" for shard in plan.shards]
        lines = [f"{state:<7} {row['shard']}" for state, row in zip(states, rows, strict=True)]
    elif cells:
        rows = [{"cell": cell} for cell in _cells(plan)]
        lines = [row["cell"] for row in rows]
    else:
        rows = [_describe(plan, name) for name in plan.experiments]
        lines = [line for row in rows for line in _paragraph(row)]
        lines += [f"{name}  not run at scale {plan.scale}: {NO_BLOCK}" for name in plan.absent]
    click.echo(json.dumps(rows) if as_json else "\n".join(lines))


def _describe(plan: Plan, name: str) -> dict:
    part = plan.experiments[name]
    chosen = plan.shards_of(name)
    return {
        "name": name,
        "paper": part.experiment.paper,
        "title": part.experiment.full_title,
        "scale": plan.scale,
        "comparable": part.comparable,
        "reason": part.reason,
        "uncut": [f"{shard.arm} at {shard.setting}" for shard in chosen if part.cut(shard.setting, shard.arm) is None],
        "level": part.experiment.level,
        "arms": {arm.name: arm.note for arm in part.experiment.arms},
        "settings": list(part.experiment.settings),
        "settings_at_this_scale": list(dict.fromkeys(shard.setting for shard in chosen)),
        "replicas": sorted({shard.first + shard.count for shard in chosen}),
        "shards": len(chosen),
        "records": sum(shard.path.is_file() for shard in chosen),
    }


def _paragraph(row: dict) -> list[str]:
    kind = PAPERS[row["paper"]].standing(row["comparable"])
    return [
        f"{row['name']}  {row['title']}",
        f"  scale {row['scale']}: {kind} ({row['reason']})",
        *([] if row["comparable"] or not row["uncut"] else [f"  but uncut: {', '.join(row['uncut'])}"]),
        f"  level {row['level']}: {MEANINGS[row['level']]}",
        f"  settings {', '.join(row['settings_at_this_scale']) or 'none'} (published: {', '.join(row['settings'])})",
        f"  {row['records']} of {row['shards']} shards trained",
        *(f"  {name:<24} {note}" for name, note in row["arms"].items()),
        "",
    ]


def _cells(plan: Plan) -> list[str]:
    return [
        f"{part.experiment.paper}/{part.experiment.table}/{setting}/{arm.column}/{metric.name}"
        for part in plan.experiments.values()
        for setting in part.experiment.settings
        for arm in part.experiment.arms
        for metric in part.experiment.metrics
    ]
