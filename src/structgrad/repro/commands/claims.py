"""``structgrad claims``: the papers' sentences, tested against the cells."""

from __future__ import annotations

import json

import click

from structgrad.repro.options import json_option, plan_options, says_how_far
from structgrad.repro.planning.plan import Plan


@click.command()
@plan_options
@json_option
@click.option("--quiet", is_flag=True, help="Write the file and print no claim.")
@says_how_far
def command(plan: Plan, as_json: bool, quiet: bool) -> None:
    """Test what the papers say about their tables against the cells of a scale.

    Each sentence has a predicate and a statistical test over replicas (claims.yaml in the folder of each paper); the
    outcome goes to results/<scale>/claims.json.

    Example: structgrad claims --scale paper
    """
    from structgrad.repro.claims import write_claims
    from structgrad.repro.judging.cells import collect_all
    from structgrad.repro.progress import stage

    cells = collect_all(plan)
    with stage("testing the claims"):
        path = write_claims(plan, cells)
    if quiet:
        return
    content = path.read_text(encoding="utf-8")
    if as_json:
        click.echo(content, nl=False)
        return
    for claim in json.loads(content)["claims"]:
        click.echo(f"{claim['verdict']:<15} {claim['predicate']}\n{'':<15} {claim['id']}: {claim['reason']}")
    click.echo(f"written to {path}")
