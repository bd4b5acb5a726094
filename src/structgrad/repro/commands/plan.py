"""``structgrad plan``: what training will cost, before anything is submitted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from structgrad.repro.options import json_option, plan_options
from structgrad.repro.planning import overrides, profiles
from structgrad.repro.planning.plan import Plan, load_plan
from structgrad.repro.running.estimates import Origin

if TYPE_CHECKING:
    from structgrad.repro.running.costs import Cost

WORDS: dict[Origin, str] = {
    "measured": "by records of the same arm, setting and hyper-parameters",
    "scaled": "by records of similar shards, times the difference in epochs, steps, items",
    "guess": "by records that are far from it or of another device, or by the median",
}


def _many(_: click.Context, parameter: click.Parameter, value: int) -> int:
    from structgrad.errors import UserError

    if value < 1:
        raise UserError(f"{parameter.opts[0]} takes a number of cores, 1 or more, not {value}")
    return value


@click.command()
@plan_options
@click.option("--profile", default="local", show_default=True, help="A folder of workflow/profiles: how long jobs are.")
@click.option(
    "--cores", default=32, show_default=True, callback=_many, help="Cores of a node, or GPUs that work side by side."
)
@json_option
def command(plan: Plan, profile: str, cores: int, as_json: bool) -> None:
    """Say what is left to train of a scale and what that costs: core-hours, jobs, memory and disk, table by table.

    Nothing is trained or submitted. Times and memory are learned from the records at hand, of all scales, and each
    number says how: measured, scaled from similar shards (right to a factor of some), or guessed. The first record of
    an arm at a setting makes its hours measured and those of its table scaled. Times are those of the machines that
    made the records; with --set device=cuda only records made on a GPU count. docs/planning.md says more.

    Examples:

        structgrad plan --scale paper

        structgrad plan --scale paper --profile slurm --set experiments=[paulus_2] --cores 64

        structgrad plan --scale paper --set slice=1     (long shards spread over more jobs)
    """
    from structgrad.repro.running.costs import costs, total

    profiles.check(profile)
    plan = load_plan(plan.scale, profiles.settings(profile) | overrides.differing(plan.config))
    parts = costs(plan)
    whole = total(parts)
    if as_json:
        click.echo(json.dumps(_json(plan, profile, parts, whole), indent=1))
    else:
        click.echo("\n".join(_text(plan, profile, cores, parts, whole)))


def _json(plan: Plan, profile: str, parts: Sequence[Cost], whole: Cost) -> dict:
    config = {name: plan.config[name] for name in ("device", "threads", "job_minutes", "job_hours", "slice")}
    tables = [{**asdict(part), "total_hours": part.total} for part in (*parts, whole)]
    return {"scale": plan.scale, "profile": profile, **config, "tables": tables[:-1], "total": tables[-1]}


def _text(plan: Plan, profile: str, cores: int, parts: Sequence[Cost], whole: Cost) -> Iterator[str]:
    from structgrad.repro.planning.program import typed
    from structgrad.repro.running.costs import wall_hours

    unit = "core" if plan.config["device"] == "cpu" else "device"
    minutes = f"{plan.config['job_minutes']:g} minutes"
    yield f"Left to train of scale {plan.scale}, in jobs of about {minutes} (profile {profile})"
    yield ""
    yield _columns("", "shards", "", "", f"{unit}-", "hours", "longest", "memory", "disk")
    yield _columns("table", "left/all", "jobs", *WORDS, "hours", "MB", "MB")
    for part in (*parts, whole):
        yield _row(part)
    yield ""
    if not whole.left:
        yield f"Nothing is left to train; what is there took {_hours(whole.spent_hours)} {unit}-hours."
    else:
        yield f"{_hours(whole.total)} {unit}-hours: {_hours(whole.total / cores)} hours of a node of {cores} {unit}s,"
        yield f"and no less than {_time(wall_hours(whole, cores))}; what is there took {_hours(whole.spent_hours)}."
        yield f"The longest shard: {whole.longest}, {_time(whole.longest_hours)}."
        yield ""
        yield from (f"{name:<9} {words}" for name, words in WORDS.items() if whole.hours[name] > 0)
    if whole.no_data:
        yield typed(f"{whole.no_data} shards have no data here and are left out (structgrad data status)")
    if whole.longest_hours > plan.config["job_hours"]:
        yield f"What takes more than {plan.config['job_hours']:g} hours (job_hours) goes on in the next job;"
        yield "--set slice=N spreads the replicas of a shard over jobs of N."


def _row(part: Cost) -> str:
    measured, scaled, guess = (_hours(part.hours[name]) if part.hours[name] else "-" for name in WORDS)
    shards = f"{part.left}/{part.shards}"
    rest = (_hours(part.longest_hours), str(part.memory_mb), f"{part.disk_mb:.0f}") if part.left else ("-", "-", "-")
    return _columns(part.name, shards, str(part.jobs), measured, scaled, guess, *rest)


def _columns(table: str, *words: str) -> str:
    widths = (10, 5, 9, 8, 6, 8, 8, 5)
    return f"{table:<19}" + "".join(f"{word:>{width}}" for word, width in zip(words, widths, strict=True))


def _hours(hours: float) -> str:
    if 0 < hours < 0.05:
        return "<0.1"
    return f"{hours:.1f}" if hours < 10 else f"{hours:.0f}"


def _time(hours: float) -> str:
    """In the unit in which people say it."""
    if hours < 1:
        return f"{max(60 * hours, 1):.0f} minutes"
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.0f} days"
