"""``structgrad claims``: the papers' sentences and questions of ours, tested against the cells."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from structgrad.repro.options import json_option, plan_options
from structgrad.repro.planning.plan import Plan

WIDTH = len("not supported at reduced scale")


@click.command()
@plan_options
@json_option
@click.option("--quiet", is_flag=True, help="Write the file and print nothing.")
def command(plan: Plan, as_json: bool, quiet: bool) -> None:
    """Test what the papers say about their tables against the cells of a scale.

    Each sentence has a predicate and a statistical test over replicas (claims.yaml in the folder of each paper); the
    outcome goes to results/<scale>/claims.json. Beside it stands what the printed numbers say of the same predicate,
    and whether it was fixed before there were results (register.yaml). Questions that no paper asks come last.

    Example: structgrad claims --scale paper
    """
    from structgrad.repro.claims import write_claims
    from structgrad.repro.judging.cells import collect_all

    path = write_claims(plan, collect_all(plan))
    if quiet:
        return
    content = path.read_text(encoding="utf-8")
    if as_json:
        click.echo(content, nl=False)
        return
    judged = json.loads(content)["claims"]
    for heading, of in (("what the papers say", "paper"), ("what we ask besides", "ours")):
        click.echo(f"{heading}\n")
        for claim in judged:
            if claim["of"] == of:
                click.echo("\n".join(_lines(claim)))
    click.echo(f"written to {path}")


def _lines(claim: Mapping[str, Any]) -> Iterator[str]:
    """A claim in words, for people."""
    margin = " " * (WIDTH + 1)
    yield f"{claim['verdict'].replace('_', ' '):<{WIDTH}} {claim['predicate']}"
    yield f"{margin}{claim['id']}: {claim['reason']}"
    printed = claim["printed"]
    if printed["outcome"] != "not_printed":
        yield f"{margin}on the print: {printed['outcome']}; {printed['says']}"
    if claim["note"]:
        yield f"{margin}note: {claim['note']}"
    before = claim.get("original_reading")
    if before:
        yield f"{margin}with the original reading ({', '.join(before['arms'])}): {before['verdict'].replace('_', ' ')}"
    if claim["fixed"]:
        yield f"{margin}fixed in {claim['fixed']}, {'after' if claim['after_results'] else 'before'} results"
