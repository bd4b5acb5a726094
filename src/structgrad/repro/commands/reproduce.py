"""``structgrad reproduce``: the whole chain, from nothing to the report."""

from __future__ import annotations

import subprocess
import sys
import time

import click

from structgrad.errors import UserError
from structgrad.repro.options import plan_options
from structgrad.repro.planning import overrides, profiles
from structgrad.repro.planning.paths import project_root
from structgrad.repro.planning.plan import Plan
from structgrad.repro.planning.program import command_line, typed
from structgrad.repro.progress import speaking, stage
from structgrad.repro.running import environment, lock, packs, room, supervise
from structgrad.repro.running.cluster.submission import KNOWS_NONE, submission
from structgrad.repro.running.realdata import fetch
from structgrad.repro.running.summing_up import watch


def _cores(_: click.Context, __: click.Parameter, value: str) -> str:
    if value != "all" and not (value.isascii() and value.isdigit() and int(value[:10]) > 0):
        raise UserError(f"--cores takes a number of cores or all, not {value!r}")
    return value


@click.command()
@plan_options
@click.option("--cores", default="all", show_default=True, callback=_cores, help="How many cores the workflow may use.")
@click.option("--profile", default="local", show_default=True, help="How to run: local, pilot or slurm.")
@click.option("--fresh", is_flag=True, help="Train everything anew, also where a record is there already.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and do nothing.")
def command(plan: Plan, cores: str, profile: str, fresh: bool, dry_run: bool) -> None:
    """Train what is missing, then build tables, figures, tracking and report, and sum up.

    Records that are there already (earlier runs, or the reference results that come with the repository) are
    kept; --fresh trains them anew. An interrupted run goes on where it stopped. Real data that is needed is fetched
    first; what cannot be had is left out, and its cells say how to get it.

    Example: structgrad reproduce --scale smoke
    """
    root = project_root()
    environment.check_place(root)
    profiles.check(profile)
    there = [shard for shard in plan.shards if shard.path.is_file()]
    if there and not fresh:
        click.echo(f"{len(there)} of {len(plan.shards)} records are there already (--fresh trains them anew)")
    words = snakemake(plan, cores, profile, fresh, dry_run)
    if dry_run:
        variables = environment.for_workflow() | _freshness(fresh)
        _check(subprocess.run(words, cwd=root, env=variables).returncode, plan)
        return
    held = lock.Lock(plan.scale)
    try:
        if held.left_by is not None:
            click.echo(f"taking over the lock of a run that was killed (process {held.left_by}), to go on from there")
        if lock.left_by_snakemake():
            click.echo("a Snakemake that was killed left its lock; nobody works here, so it is taken away")
            subprocess.run(
                [*words, "--unlock", "--quiet", "all"], cwd=root, env=environment.for_workflow(), check=False
            )
        _work(plan, words, held, fresh, profile)
    finally:
        held.release()


def _work(plan: Plan, words: list[str], held: lock.Lock, fresh: bool, profile: str) -> None:
    """Fetch, run the workflow and sum up, with the scale's lock held."""
    root, started = project_root(), time.monotonic()
    variables = environment.for_workflow() | {lock.INHERITED: plan.scale} | _freshness(fresh)
    variables |= {room.STEP: room.step(plan.config["device"])} if profile == room.PILOT else {}
    said = profiles.read(profile)
    cluster = submission(plan, said, variables["PATH"]) if said.get("executor") == "slurm" else None
    with speaking(), stage("looking for the data"):
        fetched = fetch(plan, [shard for shard in plan.shards if fresh or not shard.path.is_file()])
    for line in [*fetched.lines(), *([cluster.told] if cluster else [])]:
        click.echo(line)
    sys.stdout.flush()
    if cluster:
        words, variables = [*words, *cluster.options], variables | cluster.variables
    packs.thaw(plan.scale)

    def begun(process: int) -> None:
        held.name(process)
        if cluster:
            cluster.watchdog.watch(process)

    outcome = watch(plan)
    try:
        code = supervise.run(
            [*words, "--nolock"], root, variables, held.files, begun, lambda text: click.echo(text, err=True)
        )
    finally:  # also of a run that is stopped
        click.echo("\n" + "\n".join(outcome().lines()))
    if cluster and cluster.watchdog.stop():
        raise UserError(KNOWS_NONE)
    _check(code, plan)
    _sum_up(plan, time.monotonic() - started)


def _sum_up(plan: Plan, seconds: float) -> None:
    """What reproduced here and now, what the committed results say of the rest, and where to go on."""
    from structgrad.repro.figures.number_map import write_map
    from structgrad.repro.judging.cells import collect_all
    from structgrad.repro.judging.summary import FAITHFUL, best_evidence
    from structgrad.repro.tables.summary import verdicts_on_file, write_summary
    from structgrad.repro.tables.summary_screen import counts, here_and_now

    with speaking():
        cells = collect_all(plan)
        verdicts = [] if plan.scale in FAITHFUL else verdicts_on_file()  # of records that this run did not touch
        if not verdicts:
            with stage("judging every printed number by its best record"):
                answers = best_evidence(known=(plan, cells))
            verdicts = [(answer.paper, answer.verdict) for answer in answers]
            if plan.scale in FAITHFUL:
                write_summary(answers)
                write_map(answers)
    click.echo("\n" + here_and_now(cells, plan.scale, seconds))
    click.echo("\nThe results of the repository, the best record of each number:")
    click.echo("\n".join(counts(verdicts)))
    click.echo("each number: structgrad summary, results/summary.md; the rule: docs/verdicts.md")
    click.echo(f"report:      results/{plan.scale}/report.html; tables: {command_line(plan, 'tables')}")
    click.echo(typed("next:        make reproduce SCALE=desktop (hours), structgrad explain CELL"))


def _check(code: int, plan: Plan) -> None:
    if code:
        raise UserError(
            f"not everything was reproduced; the logs are in results/{plan.scale}/logs. "
            "What is finished is kept: run again to go on"
        )


def _freshness(fresh: bool) -> dict[str, str]:
    return {packs.FRESH: "1" if fresh else "0"}


def snakemake(plan: Plan, cores: str, profile: str, fresh: bool, dry_run: bool) -> list[str]:
    """The command line that runs the workflow for this plan."""
    words = [sys.executable, "-m", "snakemake", "--profile", f"workflow/profiles/{profile}", "--rerun-incomplete"]
    if profile == "local":
        words += room.of_machine(cores, plan.config["device"]).words()
    elif profile == room.PILOT:
        words += room.of_allocation(cores, plan.config["device"]).words()
    words += environment.snakemake_options()
    words += ["--forceall"] if fresh else []
    words += ["--dry-run"] if dry_run else []
    # Snakemake takes --config from the command line or from the profile, not from both.
    return words + overrides.for_snakemake(profiles.settings(profile) | overrides.differing(plan.config))
