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
@click.option("--cluster", is_flag=True, help="Look at the Slurm cluster that this machine submits to, too.")
@json_option
def command(plan: Plan, cluster: bool, as_json: bool) -> None:
    """Look at this machine and say, for each thing that is not well, what to do.

    Exit code 0: it can reproduce. 2: something must be mended first.

    Example: structgrad doctor
    """
    from structgrad.repro.running.cluster.examination import examine_cluster
    from structgrad.repro.running.doctor import examine

    diagnoses = [*examine(plan), *(examine_cluster(plan) if cluster else ())]
    failed = any(diagnosis.state == "fail" for diagnosis in diagnoses)
    if as_json:
        click.echo(json.dumps([vars(diagnosis) for diagnosis in diagnoses], indent=1))
    else:
        for diagnosis in diagnoses:
            state = click.style(f"{diagnosis.state:<4}", COLOURS[diagnosis.state])
            click.echo(f"{state} {diagnosis.what}: {diagnosis.seen}")
            if diagnosis.advice:
                click.echo(f"     -> {diagnosis.advice}")
        click.echo("this machine cannot reproduce yet" if failed else "this machine can reproduce")
    sys.exit(2 if failed else 0)
