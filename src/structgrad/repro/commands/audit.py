"""``structgrad audit``: is every number what it claims to be?"""

from __future__ import annotations

import json
import sys

import click

from structgrad.repro.options import json_option, plan_options, says_how_far
from structgrad.repro.planning.plan import Plan

SHOWN = 20  # findings of one check that are printed; --json has them all


@click.command()
@plan_options
@json_option
@says_how_far
def command(plan: Plan, as_json: bool) -> None:
    """Check a scale's results: manifest, records, seeds, data, and that all that is shown follows from the records.

    Exit code 0: everything holds. 1: something does not, and the finding names the file, line and digit. Nothing
    is trained and nothing is written.

    Example: structgrad audit --scale paper
    """
    from structgrad.repro.audit import audit

    checks, notes = audit(plan)
    failed = any(findings for _, findings in checks)
    if as_json:
        results = [
            {"check": what, "ok": not findings, "findings": [vars(finding) for finding in findings]}
            for what, findings in checks
        ]
        content = {"scale": plan.scale, "ok": not failed, "checks": results, "notes": [vars(note) for note in notes]}
        click.echo(json.dumps(content, indent=1))
        sys.exit(int(failed))

    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for what, findings in checks:
        console.print(f"[{'red' if findings else 'green'}]{'FAIL' if findings else 'ok  '}[/] {what}")
        for finding in findings[:SHOWN]:
            console.print(f"     {finding}", markup=False)
        if len(findings) > SHOWN:
            console.print(f"     and {len(findings) - SHOWN} more (--json lists them)")
    for note in notes:
        console.print(f"note {note}", markup=False)
    count = sum(len(findings) for _, findings in checks)
    verdict = f"{count} findings" if count != 1 else "1 finding"
    console.print(f"audit of scale {plan.scale}: {verdict if failed else 'everything holds'}")
    sys.exit(int(failed))
