"""``structgrad run``: train one shard, or several one after the other."""

from __future__ import annotations

import sys
import time
import traceback
from math import inf

import click

from structgrad.errors import UserError
from structgrad.experiments import Experiment
from structgrad.repro.options import json_option, plan_options
from structgrad.repro.planning.plan import Plan


def _seconds(_: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 < value < inf:
        raise UserError(f"{parameter.opts[0]} takes seconds, more than 0, not {value}")
    return value


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
@click.option("--go-on", is_flag=True, help="Take what an earlier job finished with the same sources as it is.")
@json_option
def command(
    shards: tuple[str, ...],
    plan: Plan,
    threads: int | None,
    time_budget: float | None,
    checkpoint_every: float,
    go_on: bool,
    as_json: bool,
) -> None:
    """Train all replicas of one arm x setting and write their record; of several, one after the other.

    SHARD is an id from `structgrad list --shards`, for example

        structgrad run indelman_1a/d=5/direct/0-9 --scale smoke

    A run that was killed goes on from its last checkpoint and ends with the same numbers, to the bit. Where one of
    several shards fails the others are trained all the same.
    """
    from structgrad.repro.running.run import OUT_OF_TIME, restore_shard, run_shard
    from structgrad.training.loop import OutOfTimeError

    chosen = [plan.shard(shard) for shard in dict.fromkeys(shards)]
    cores: int = plan.config["threads"] if threads is None else threads
    budget = time_budget if time_budget is not None else plan.config["time_budget"]
    started, failed = time.monotonic(), []
    for shard in chosen:
        experiment = plan.experiments[shard.experiment].experiment
        record = restore_shard(plan, shard) if go_on else None
        if record is None:
            left = None if budget is None else budget - (time.monotonic() - started)
            bar = TrainingBar(shard.id, shard.count, experiment)
            try:
                record = run_shard(plan, shard, bar, cores, checkpoint_every, left)
            except OutOfTimeError:
                bar.close()
                click.echo(f"structgrad: {shard.id}: the time budget ran out; run again to go on", err=True)
                sys.exit(OUT_OF_TIME)
            except Exception as error:
                bar.close()
                if len(chosen) == 1:
                    raise
                failed.append(shard.id)
                click.echo(f"structgrad: {shard.id}: {error}", err=True)
                if not isinstance(error, UserError):
                    traceback.print_exc()
                continue
            bar.close()
        click.echo(records_json(record) if as_json else summary(record, experiment))
    if failed:
        raise UserError(f"{len(failed)} of {len(chosen)} shards failed: {', '.join(failed)}")


def records_json(record: dict) -> str:
    """The record as one line of JSON."""
    import json

    return json.dumps(record)


def summary(record: dict, experiment: Experiment) -> str:
    """One line that says what came out."""
    from structgrad.repro.tracking.trackable import metrics_of

    pooled = {metric.name for metric in experiment.metrics}
    parts = [f"{name} {value:.4g}" for name, value, _ in metrics_of(record, experiment) if name in pooled]
    run = record["run"]
    return f"{record['id']}: {', '.join(parts)}; {run['seconds']:.1f} s, {run['peak_memory_mb']:.0f} MB"


class TrainingBar:
    """A bar of finished replicas on a terminal; elsewhere a line every so many seconds, so that logs stay short."""

    def __init__(self, name: str, replicas: int, experiment: Experiment, every: float = 30.0) -> None:
        from tqdm import tqdm

        self.name, self.replicas, self.every = name, replicas, every
        self.clock, self.unit = experiment.clock, "trial" if experiment.selected_by else "replica"
        self.quiet = not sys.stderr.isatty()
        self.bar = tqdm(total=replicas, desc=name, unit=self.unit, disable=self.quiet)
        self.last_line = time.monotonic()

    def __call__(self, step: int, active: int, numbers: dict[str, float]) -> None:
        """Show that ``active`` replicas still train after ``step`` ticks of the clock."""
        shown = {key: f"{value:.3g}" for key, value in numbers.items()}
        self.bar.n = self.replicas - active
        self.bar.set_postfix({self.clock: step, **shown})
        if self.quiet and time.monotonic() - self.last_line > self.every:
            self.last_line = time.monotonic()
            text = ", ".join(f"{key} {value}" for key, value in shown.items())
            training = f"{active} of {self.replicas} {self.unit}s train"
            click.echo(f"{self.name}: {self.clock} {step}, {training}, {text}", err=True)

    def close(self) -> None:
        """Finish the bar."""
        self.bar.close()
