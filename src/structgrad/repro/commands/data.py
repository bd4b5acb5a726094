"""``structgrad data``: what the experiments learn from."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from structgrad.repro.options import json_option, plan_options, says_how_far
from structgrad.repro.planning.plan import Plan
from structgrad.repro.progress import stage


@click.group()
def command() -> None:
    """Fetch, make or check the data.

    Some tables learn from generated sequences, others from public data sets. Those are looked for in the folder that
    STRUCTGRAD_DATA (data_folder in config.yaml) names, then in the user's cache, and are otherwise downloaded to the
    cache; each is checked against its sha256. Digests of all data are kept, and each training job checks them before it
    starts.
    """


@command.command()
@click.argument("experiments", nargs=-1, metavar="[EXPERIMENT]...")
@plan_options
@json_option
@says_how_far
def fetch(plan: Plan, experiments: Sequence[str], as_json: bool) -> None:
    """Get the real data of the EXPERIMENTs (default: all), and mark what cannot be had.

    Where data cannot be had the workflow leaves the training job out, and its cells say no_data and how to get the
    data; run this again when it is there. Exit code 2: a file is there, but is not the published one.

    Example: structgrad data fetch --scale desktop
    """
    from structgrad.repro.running import realdata

    chosen = _chosen(plan, experiments)
    with stage(f"looking for the data of scale {plan.scale}, and fetching what is missing"):
        fetched = realdata.fetch(plan, [shard for shard in plan.shards if shard.experiment in chosen])
    if as_json:
        left_out = [shard.id for shard in fetched.left_out]
        click.echo(json.dumps({**vars(fetched), "left_out": left_out}))
        return
    click.echo("\n".join(fetched.lines() or [f"scale {plan.scale} needs no real data"]))


@command.command()
@click.argument("experiment", required=False)
@plan_options
@json_option
@says_how_far
def make(plan: Plan, experiment: str | None, as_json: bool) -> None:
    """Generate or read the data of EXPERIMENT (default: all) and write the digests to results/<scale>/data/.

    Example: structgrad data make indelman_1a --scale smoke
    """
    from structgrad.repro.running import datasets

    chosen = _chosen(plan, [experiment] if experiment is not None else [])
    made = {}
    for name in chosen:
        with stage(f"making the data of {name}"):
            made[name] = datasets.make(plan, name)
    if as_json:
        click.echo(json.dumps(made))
        return
    for name, digests in made.items():
        click.echo(f"{name}: data of {len(digests)} settings, digests in {datasets.path_of(plan.scale, name)}")


@command.command()
@plan_options
@json_option
def status(plan: Plan, as_json: bool) -> None:
    """Say what data each experiment needs, what of it is there, and whether its digests are."""
    from structgrad.data.store import find
    from structgrad.repro.running import datasets
    from structgrad.repro.running.realdata import data_folder, needed_by

    rows = {}
    with data_folder(plan):
        for name in plan.experiments:
            files = {file.path: find(file) is not None for file in needed_by(plan, plan.shards_of(name))}
            rows[name] = {"files": files, "digests": datasets.path_of(plan.scale, name).is_file()}
    if as_json:
        click.echo(json.dumps(rows))
        return
    for name, row in rows.items():
        files = row["files"]
        missing = [path for path, there in files.items() if not there]
        what = f"{len(files) - len(missing)} of {len(files)} files at hand" if files else "generated"
        click.echo(f"{name}: {what}; digests {'present' if row['digests'] else 'not made yet (structgrad data make)'}")
        if missing:
            click.echo(f"  missing: {', '.join(missing)} (structgrad data fetch)")


def _chosen(plan: Plan, experiments: Sequence[str]) -> list[str]:
    from structgrad.errors import unknown

    for name in experiments:
        if name not in plan.experiments:
            raise unknown("experiment", name, plan.experiments)
    return list(experiments or plan.experiments)
