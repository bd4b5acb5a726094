"""What ``structgrad run`` says: what starts, what is there already, what came out, how a second training compares."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from structgrad.experiments import Experiment
from structgrad.repro.planning.plan import Plan
from structgrad.repro.planning.shard import Shard

if TYPE_CHECKING:
    from structgrad.repro.running.comparison import Comparison


def announce(shard: Shard, chosen: list[Shard]) -> None:
    """Say what starts where nobody sees a bar."""
    if not sys.stderr.isatty():
        number = f" ({chosen.index(shard) + 1} of {len(chosen)})" if len(chosen) > 1 else ""
        click.echo(f"training {shard.id}{number}", err=True)


def say_if_uncounted(plan: Plan, shard: Shard) -> None:
    """Say so where no table would count the record."""
    from structgrad.repro.planning.slices import uncounted

    why = uncounted(shard, plan.shards_of(shard.experiment, shard.setting, shard.arm))
    if why:
        click.echo(f"{shard.id}: no table will count this record: {why} (--into FOLDER keeps it apart)", err=True)


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
    return json.dumps({"shard": shard.id, "verdict": comparison.verdict, **asdict(comparison)})


def records_json(record: dict) -> str:
    """The record as one line of JSON."""
    return json.dumps(record)


def summary(record: dict, experiment: Experiment) -> str:
    """One line that says what came out."""
    from structgrad.repro.tracking.trackable import metrics_of

    pooled = {f"record/{metric.name}": metric.name for metric in experiment.metrics}
    parts = [f"{pooled[name]} {value:.4g}" for name, value, _ in metrics_of(record, experiment) if name in pooled]
    run = record["run"]
    return f"{record['id']}: {', '.join(parts)}; {run['seconds']:.1f} s, {run['peak_memory_mb']:.0f} MB"
