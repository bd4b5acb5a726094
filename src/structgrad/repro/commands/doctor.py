"""``structgrad doctor``: what this machine has and lacks."""

from __future__ import annotations

import json
import sys

import click

from structgrad.repro.options import json_option, plan_options
from structgrad.repro.planning.plan import Plan

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@plan_options
@json_option
def command(plan: Plan, as_json: bool) -> None:
    """Look at this machine and say, for each thing that is not well, what to do.

    Exit code 0: it can reproduce. 2: something must be mended first.

    Example: structgrad doctor
    """
    from structgrad.repro.running.doctor import examine

    findings = examine(plan)
    failed = any(finding.state == "fail" for finding in findings)
    if as_json:
        click.echo(json.dumps([vars(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            click.echo(f"{click.style(f'{finding.state:<4}', COLOURS[finding.state])} {finding.what}: {finding.seen}")
            if finding.advice:
                click.echo(f"     -> {finding.advice}")
        click.echo("this machine cannot reproduce yet" if failed else "this machine can reproduce")
    sys.exit(2 if failed else 0)
