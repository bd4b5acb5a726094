"""``structgrad data``: what the experiments learn from."""

from __future__ import annotations

import json

import click

from structgrad.repro.options import json_option, plan_options
from structgrad.repro.plan import Plan


@click.group()
def command() -> None:
    """Make or check the data.

    Both sorting tables learn from generated sequences, so nothing is downloaded for them; what is kept is the
    digest of every setting's numbers, which each training job checks before it starts.
    """


@command.command()
@click.argument("experiment", required=False)
@plan_options
@json_option
def make(plan: Plan, experiment: str | None, as_json: bool) -> None:
    """Generate the data of EXPERIMENT (default: all) and write the digests to results/<scale>/data/.

    Example: structgrad data make indelman_1a --scale smoke
    """
    from structgrad.errors import unknown
    from structgrad.repro import datasets

    if experiment is not None and experiment not in plan.experiments:
        raise unknown("experiment", experiment, plan.experiments)
    made = {name: datasets.make(plan, name) for name in ([experiment] if experiment else plan.experiments)}
    if as_json:
        click.echo(json.dumps(made))
        return
    for name, digests in made.items():
        click.echo(f"{name}: data of {len(digests)} settings, digests in {datasets.path_of(plan.scale, name)}")


@command.command()
@plan_options
@json_option
def status(plan: Plan, as_json: bool) -> None:
    """Say what data each experiment needs and whether its digests are there."""
    from structgrad.repro import datasets

    there = {name: datasets.path_of(plan.scale, name).is_file() for name in plan.experiments}
    if as_json:
        click.echo(json.dumps(there))
        return
    for name, present in there.items():
        click.echo(f"{name}: generated; digests {'present' if present else 'not made yet (structgrad data make)'}")
