"""``structgrad cluster``: what a cluster's own words are."""

from __future__ import annotations

import sys
from typing import Any

import click

from structgrad.errors import UserError
from structgrad.repro.options import plan_options
from structgrad.repro.planning.config import defaults, parse_overrides
from structgrad.repro.planning.plan import Plan
from structgrad.repro.planning.program import typed
from structgrad.repro.progress import speaking
from structgrad.repro.running.cluster import controller, site

# What a person is asked, in order; the rest is given by --set or written into the file.
ASKED = {
    "account": "account that jobs are charged to (empty: the cluster's default)",
    "partition": "partition of training jobs (empty: the cluster's default)",
    "gpu_partition": "partition of jobs on a GPU (empty: the same)",
    "gpu_flag": "how GPUs are asked for, gpus or gres",
    "gpu_type": "GPU type in the cluster's words (empty: any)",
    "kernels": "folder on the shared file system for compiled kernels (empty: beside the sources)",
}


@click.group()
def command() -> None:
    """Run on a Slurm cluster: structgrad cluster init, structgrad doctor --cluster, make reproduce PROFILE=slurm."""


@command.command()
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help="A key of site.yaml, described in workflow/schemas/site.schema.yaml (may be repeated); then nothing is asked.",
)
def init(pairs: tuple[str, ...]) -> None:
    """Write site.yaml, the cluster's own words, by asking or from --set.

    What the file says already stays, unless it is said anew. Git ignores it, so records stay clean.

    Example: structgrad cluster init --set account=my-group --set partition=main
    """
    before = site.load_site() if site.path().exists() else {}
    if not pairs and not sys.stdin.isatty():
        raise UserError("nobody is here to be asked; say it: structgrad cluster init --set account=my-group")
    said = parse_overrides(pairs, "site") if pairs else _ask(before)
    usual = defaults("site")
    content = {key: value for key, value in {**before, **said}.items() if key not in usual or value != usual[key]}
    site.write_site(content)
    click.echo(f"wrote {site.path()}")
    click.echo(typed("next: structgrad doctor --cluster, then make reproduce PROFILE=slurm"))


@command.command(hidden=True)
@click.argument("experiments", nargs=-1)
@plan_options
def kernels(experiments: tuple[str, ...], plan: Plan) -> None:
    """Compile what the trainings of these experiments compile; the workflow does so on a node, before other jobs."""
    from structgrad.repro.running.cluster.kernels import compile_for

    with speaking():
        compile_for(plan, experiments)


def _ask(before: dict[str, Any]) -> dict[str, Any]:
    try:
        known = ", ".join(f"{part.name} ({part.limit})" for part in controller.ask().partitions)
        click.echo(f"partitions here: {known}")
    except UserError as error:
        click.echo(str(error), err=True)
    answers = {}
    for key, question in ASKED.items():
        default = before.get(key) or ("gpus" if key == "gpu_flag" else "")
        answers[key] = click.prompt(question, default=default, show_default=bool(default)) or None
    return answers
