"""``structgrad run``: train one shard, or several one after the other."""

from __future__ import annotations

import functools
import sys
import time
import traceback
from collections.abc import Callable
from math import inf
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from structgrad.errors import UserError
from structgrad.experiments import Experiment
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
            _announce(shard, chosen)
            if not into:
                _say_if_uncounted(plan, shard)
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


def _announce(shard: Shard, chosen: list[Shard]) -> None:
    """Say what starts where nobody sees a bar."""
    if not sys.stderr.isatty():
        number = f" ({chosen.index(shard) + 1} of {len(chosen)})" if len(chosen) > 1 else ""
        click.echo(f"training {shard.id}{number}", err=True)


def _say_if_uncounted(plan: Plan, shard: Shard) -> None:
    from structgrad.repro.planning.slices import uncounted

    why = uncounted(shard, plan.shards_of(shard.experiment, shard.setting, shard.arm))
    if why:
        click.echo(f"{shard.id}: no table will count this record: {why} (--into FOLDER keeps it apart)", err=True)


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
    _announce(shard, [shard])
    return compare(before, train(), experiment)


def kept_text(plan: Plan, shard: Shard, record: dict[str, Any], path: Path, into: Path | None) -> str:
    """That a record is there and was left as it is, and what else can be done."""
    from structgrad.repro.planning.program import command_line

    run = command_line(plan, "run", shard.id)
    there = f" --into {quote(str(into))}" if into else ""
    lines = [
        f"{shard.id} has a record, which was left as it is:",
        f"  {relative(path)} (trained {record['run']['finished'][:10]})",
        f"  to train it anew and compare:  {run} --compare",
        f"  to write a second one:         {run} --into FOLDER",
        f"  to replace it:                 {run}{there} --fresh",
    ]
    return "\n".join([*lines[:2], *lines[4:]] if into else lines)


def relative(path: Path) -> Path:
    """A path as people of this project write it."""
    from structgrad.repro.planning.paths import project_root

    return path.relative_to(project_root()) if path.is_relative_to(project_root()) else path


def comparison_text(shard: Shard, comparison: Comparison) -> str:
    """What a second training says of the record, a line a fact."""
    from structgrad.repro.running.places import again

    lines = [f"{shard.id}: {comparison.verdict}"]
    if comparison.first:
        lines.append(f"  first difference  {comparison.first}")
        lines += [f"  {moved}" for moved in comparison.metrics] or ["  no metric differs"]
    lines += [f"  made of other     {difference}" for difference in comparison.made_of]
    lines.append(f"  the record        {relative(shard.path)}, as it was")
    lines.append(f"  the second one    {relative(again(shard).record)}")
    return "\n".join(lines)


def comparison_json(shard: Shard, comparison: Comparison) -> str:
    """The same as one line of JSON."""
    import json
    from dataclasses import asdict

    return json.dumps({"shard": shard.id, "verdict": comparison.verdict, **asdict(comparison)})


def records_json(record: dict) -> str:
    """The record as one line of JSON."""
    import json

    return json.dumps(record)


def summary(record: dict, experiment: Experiment) -> str:
    """One line that says what came out."""
    from structgrad.repro.tracking.trackable import metrics_of

    pooled = {f"record/{metric.name}": metric.name for metric in experiment.metrics}
    parts = [f"{pooled[name]} {value:.4g}" for name, value, _ in metrics_of(record, experiment) if name in pooled]
    run = record["run"]
    return f"{record['id']}: {', '.join(parts)}; {run['seconds']:.1f} s, {run['peak_memory_mb']:.0f} MB"
