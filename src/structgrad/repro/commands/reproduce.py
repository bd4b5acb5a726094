"""``structgrad reproduce``: the whole chain, from nothing to the report."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from structgrad.errors import UserError
from structgrad.repro import overrides
from structgrad.repro.options import plan_options
from structgrad.repro.paths import project_root
from structgrad.repro.plan import Plan
from structgrad.repro.realdata import fetch


@click.command()
@plan_options
@click.option("--cores", default="all", show_default=True, help="How many cores the workflow may use.")
@click.option("--profile", default="local", show_default=True, help="A folder of workflow/profiles: local or slurm.")
@click.option("--fresh", is_flag=True, help="Train everything anew, also where a record is there already.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and do nothing.")
def command(plan: Plan, cores: str, profile: str, fresh: bool, dry_run: bool) -> None:
    """Train what is missing, then build tables, figures, tracking and report, and print the tables.

    Records that are there already (earlier runs, or the reference results that come with the repository) are
    kept; --fresh trains them anew. An interrupted run goes on where it stopped. Real data that is needed is fetched
    first; what cannot be had is left out, and its cells say how to get it.

    Example: structgrad reproduce --scale smoke
    """
    root = project_root()
    if not (root / "workflow" / "profiles" / profile).is_dir():
        raise UserError(f"no profile {profile!r} in workflow/profiles")
    there = [shard for shard in plan.shards if shard.path.is_file()]
    if there and not fresh:
        click.echo(f"{len(there)} of {len(plan.shards)} records are there already (--fresh trains them anew)")
    if not dry_run:
        for line in fetch(plan, [shard for shard in plan.shards if fresh or not shard.path.is_file()]).lines():
            click.echo(line)
    # jobs say `python`: they must find this one
    environment = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    if subprocess.run(snakemake(plan, cores, profile, fresh, dry_run), cwd=root, env=environment).returncode:
        raise UserError(
            f"not everything was reproduced; the logs are in results/{plan.scale}/logs. "
            "What is finished is kept: run again to go on"
        )
    if not dry_run:
        subprocess.run(
            [sys.executable, "-m", "structgrad", "tables", *overrides.words(overrides.differing(plan.config))],
            cwd=root,
            check=True,
        )
        click.echo(f"report: results/{plan.scale}/report.html")


def snakemake(plan: Plan, cores: str, profile: str, fresh: bool, dry_run: bool) -> list[str]:
    """The command line that runs the workflow for this plan."""
    words = [sys.executable, "-m", "snakemake", "--profile", f"workflow/profiles/{profile}", "--rerun-incomplete"]
    words += ["--cores", cores] if profile == "local" else []
    words += ["--forceall"] if fresh else []
    words += ["--dry-run"] if dry_run else []
    return words + overrides.for_snakemake(overrides.differing(plan.config))
