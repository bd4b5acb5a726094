"""``structgrad data``: what the experiments learn from."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from structgrad.files import of_user
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
    from structgrad.data.sources import at_hand
    from structgrad.repro.running import datasets
    from structgrad.repro.running.realdata import data_folder, needed_by

    rows = {}
    with data_folder(plan):
        for name in plan.experiments:
            files = {file.path: at_hand(file) for file in needed_by(plan, plan.shards_of(name))}
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


@command.command()
@click.argument("name", required=False)
@click.argument("path", required=False)
@json_option
@says_how_far
def add(name: str | None, path: str | None, as_json: bool) -> None:
    """Check a data set of your own at PATH, and remember it as NAME; without arguments, say which can be added.

    Some tables were made from data that nobody may pass on. Who has a copy says here where it lies: it is read
    strictly, and what is missing or wrong is named with its file, line and the form that is expected (exit code 2).
    Nothing is copied; the files must stay where they are, and a job refuses them if they change.

    Example: structgrad data add beer ~/beer
    """
    from structgrad.data import user_data
    from structgrad.errors import UserError, unknown
    from structgrad.repro.planning.resolve import user_data_sets

    sets = user_data_sets()
    if name is None:
        found = {each: user_data.find(data) is not None for each, data in sets.items()}
        if as_json:
            click.echo(
                json.dumps({each: {"added": found[each], "expected": dict(sets[each].expected)} for each in sets})
            )
            return
        for each, data in sets.items():
            click.echo(f"{each}: {'added' if found[each] else 'not added'}; {data.title}")
            click.echo("\n".join(f"  {file}: {form}" for file, form in data.expected.items()))
        return
    if name not in sets:
        raise unknown("data set", name, sets)
    if path is None:
        raise UserError(f"where does it lie? structgrad data add {name} PATH")
    with stage(f"checking {name}"):
        added = user_data.add(sets[name], of_user(path, "PATH"))
    if as_json:
        click.echo(json.dumps({"name": name, "files": list(map(str, added.files)), "sha256": added.sha256}))
        return
    click.echo(f"{name}: {len(added.files)} files added, sha256 {added.sha256[:12]}; now: structgrad data fetch")


def _chosen(plan: Plan, experiments: Sequence[str]) -> list[str]:
    from structgrad.errors import unknown

    for name in experiments:
        if name not in plan.experiments:
            raise unknown("experiment", name, plan.experiments)
    return list(experiments or plan.experiments)
