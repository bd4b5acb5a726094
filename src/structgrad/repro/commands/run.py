"""``structgrad run``: train one shard, or several one after the other."""

from __future__ import annotations

import functools
import sys
import time
import traceback
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from structgrad.errors import UserError
from structgrad.experiments import Experiment
from structgrad.repro.commands.run_texts import (
    announce,
    comparison_json,
    comparison_text,
    kept_text,
    records_json,
    say_if_uncounted,
    summary,
)
from structgrad.repro.commands.training_bar import TrainingBar
from structgrad.repro.options import json_option, plan_options
from structgrad.repro.planning.plan import Plan
from structgrad.repro.planning.shard import Shard
from structgrad.repro.running import outcomes

if TYPE_CHECKING:
    from structgrad.repro.running.comparison import Comparison
    from structgrad.repro.running.places import Place


def _seconds(_: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 < value < inf:
        raise UserError(f"{parameter.opts[0]} takes seconds, more than 0, not {value}")
    return value


def _written_down(command: Callable[..., None]) -> Callable[..., None]:
    """Tell the workflow, where it gave the job a name, how the command ended."""

    @functools.wraps(command)
    def with_outcome(*, plan: Plan, job: str | None, **rest: Any) -> None:
        with outcomes.written_down(plan.scale, job):
            command(plan=plan, job=job, **rest)

    return with_outcome


@click.command()
@click.argument("shards", nargs=-1, required=True, metavar="SHARD...")
@plan_options
@click.option("--threads", type=int, help="Cores for solvers and noise; changes no number. [default: config.yaml's]")
@click.option(
    "--time-budget", type=float, callback=_seconds, help="Seconds until it checkpoints and exits with code 75."
)
@click.option(
    "--checkpoint-every", default=60.0, show_default=True, callback=_seconds, help="Seconds between checkpoints."
)
@click.option("--compare", is_flag=True, help="Train anew beside the record and say what differs; exit code 1 if so.")
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), help="Write the record below this folder.")
@click.option("--fresh", is_flag=True, help="Train anew and replace the record that is there.")
@click.option("--go-on", is_flag=True, help="Take what an earlier job finished with the same sources as it is.")
@click.option("--job", hidden=True, help="Its name in the workflow, which is told how it ended.")
@json_option
@_written_down
def command(
    shards: tuple[str, ...],
    plan: Plan,
    threads: int | None,
    time_budget: float | None,
    checkpoint_every: float,
    compare: bool,
    into: Path | None,
    fresh: bool,
    go_on: bool,
    job: str | None,
    as_json: bool,
) -> None:
    """Train all replicas of one arm x setting and write their record; of several, one after the other.

    SHARD is an id from `structgrad list --shards`, for example

        structgrad run indelman_1a/d=5/direct/0-9 --scale smoke

    A record that is there is left as it is (exit code 0), unless --fresh says to replace it. A run that was killed
    goes on from its last checkpoint and ends with the same numbers, to the bit. Told to stop (SIGTERM), or shortly
    before the time limit of the Slurm job that it is in, it checkpoints and ends with exit code 75. Where one of
    several shards fails the others are trained all the same. Any slice of the replicas will do: 0-3 here and 4-9 on
    another machine count in tables as 0-9 would.
    """
    from structgrad.repro.running import places
    from structgrad.repro.running.cluster.requeue import requeue
    from structgrad.repro.running.devices import leased
    from structgrad.repro.running.journal import journal
    from structgrad.repro.running.run import check_device, restore_shard, run_shard
    from structgrad.repro.running.stopping import OUT_OF_TIME, Stopping, deadline
    from structgrad.training.loop import OutOfTimeError

    chosen = [plan.shard(shard) for shard in dict.fromkeys(shards)]
    _check_options(compare, into, fresh, go_on, chosen)
    click.get_current_context().with_resource(leased(plan.config["device"]))
    check_device(plan.config["device"])
    cores: int = plan.config["threads"] if threads is None else threads
    until = deadline(time_budget if time_budget is not None else plan.config["time_budget"])
    stopping = Stopping()
    failed, other = [], []

    def train(shard: Shard, place: Place) -> dict[str, Any]:
        left = None if until is None else until - time.monotonic()
        experiment = plan.experiments[shard.experiment].experiment
        with journal(shard.log if place == places.own(shard) else None, plan.config["device"]) as say:
            bar = TrainingBar(shard.id, shard.count, experiment, log=say)

            def between_steps(step: int, active: int, numbers: dict[str, float]) -> None:
                bar(step, active, numbers)
                stopping.mind()

            stopping.training = True
            try:
                record = run_shard(plan, shard, between_steps, cores, checkpoint_every, left, place, bar.expects)
            finally:
                stopping.training = False
                bar.close()
            say(f"done: {summary(record, experiment)}")
            return record

    def do(shard: Shard) -> None:
        experiment = plan.experiments[shard.experiment].experiment
        if compare:
            comparison = _compare(shard, experiment, lambda: train(shard, places.again(shard)))
            other.extend([shard.id] * (comparison.verdict == "different"))
            click.echo(comparison_json(shard, comparison) if as_json else comparison_text(shard, comparison))
            return
        place = places.below(into, shard) if into else places.own(shard)
        if place.record.is_file() and not fresh:
            record = _kept(place.record)
            click.echo(kept_text(plan, shard, record, place.record, into), err=as_json)
        else:
            announce(shard, chosen)
            if not into:
                say_if_uncounted(plan, shard)
            record = (restore_shard(plan, shard) if go_on else None) or train(shard, place)
        click.echo(records_json(record) if as_json else summary(record, experiment))

    with stopping.listening():
        for shard in chosen:
            try:
                do(shard)
            except OutOfTimeError:
                why = "told to stop, and its state is saved" if stopping.told else "the time budget ran out"
                click.echo(f"structgrad: {shard.id}: {why}; run again to go on", err=True)
                if job and not stopping.told:
                    requeue()
                sys.exit(OUT_OF_TIME)
            except Exception as error:
                if len(chosen) == 1:
                    raise
                failed.append(shard.id)
                click.echo(f"structgrad: {shard.id}: {error}", err=True)
                if not isinstance(error, UserError):
                    traceback.print_exc()
    if failed:
        raise UserError(f"{len(failed)} of {len(chosen)} shards failed: {', '.join(failed)}")
    if other:
        sys.exit(1)


def _check_options(compare: bool, into: Path | None, fresh: bool, go_on: bool, chosen: list[Shard]) -> None:
    if compare and (into or fresh or go_on):
        raise UserError("--compare writes no record: it goes with none of --into, --fresh and --go-on")
    if into and go_on:
        raise UserError("--go-on takes what was finished for results/, which --into does not write")
    for shard in chosen if compare else ():
        if not shard.path.is_file():
            raise UserError(f"{shard.id} has no record of scale {shard.scale} to compare with; train it first")


def _kept(path: Path) -> dict[str, Any]:
    from structgrad.repro.evidence.records import RecordError, load

    try:
        return load(path)
    except RecordError as error:
        raise UserError(f"{error}; it was left as it is, --fresh replaces it") from error


def _compare(shard: Shard, experiment: Experiment, train: Callable[[], dict[str, Any]]) -> Comparison:
    from structgrad.repro.evidence.records import load
    from structgrad.repro.running.comparison import compare

    before = load(shard.path)  # before the training: a damaged one is not worth it
    announce(shard, [shard])
    return compare(before, train(), experiment)
