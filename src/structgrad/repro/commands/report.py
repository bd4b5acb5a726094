"""``structgrad report``: the page, the research object's metadata and the manifest."""

from __future__ import annotations

import json

import click

from structgrad.repro.options import json_option, plan_options, says_how_far
from structgrad.repro.planning.plan import Plan


@click.command()
@plan_options
@json_option
@says_how_far
def command(plan: Plan, as_json: bool) -> None:
    """Write results/<scale>/report.html, ro-crate-metadata.json and, last, MANIFEST.sha256.

    The page is one file without any request to the network: tables, figures, claims, training curves, costs and
    provenance, all derived from the records. The manifest covers everything that is there when it is written, so
    build the tables first (`structgrad reproduce` does).

    Example: structgrad report --scale paper
    """
    from structgrad.repro.judging.cells import collect_all
    from structgrad.repro.progress import stage
    from structgrad.repro.report.page import write_report

    cells = collect_all(plan)
    with stage("writing the report"):
        written = [str(path) for path in write_report(plan, cells)]
    click.echo(json.dumps(written) if as_json else "\n".join(written))
