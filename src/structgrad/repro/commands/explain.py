"""``structgrad explain``: where one number comes from."""

from __future__ import annotations

import json

import click

from structgrad.repro.options import json_option, plan_options, says_how_far
from structgrad.repro.planning.plan import Plan


@click.command()
@click.argument("cell")
@plan_options
@json_option
@says_how_far
def command(plan: Plan, cell: str, as_json: bool) -> None:
    """Show where the number in CELL comes from: records, seeds, source, device, and why its verdict is what
    it is.

    A cell is paper/table/row/column/metric, as in the tables' csv; quote it, for columns hold spaces.

    Example: structgrad explain "indelman/1a/d=25/Direct/percent_sequences_perfect" --scale paper
    """
    from structgrad.repro.planning.program import typed
    from structgrad.repro.report.explain import as_text, explain

    facts = explain(plan, cell)
    click.echo(json.dumps(facts, indent=1, ensure_ascii=False) if as_json else typed(as_text(facts)))
