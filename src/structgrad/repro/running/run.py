"""Run one shard: train what its record needs, and write the record."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from structgrad.experiments import Experiment
from structgrad.files import check_writable
from structgrad.repro.evidence import records
from structgrad.repro.planning.plan import Plan
from structgrad.repro.planning.resolve import trainer
from structgrad.repro.planning.shard import Shard
from structgrad.repro.running import datasets, finished, git
from structgrad.repro.running.devices import lacking
from structgrad.repro.running.digests import lock_digest, source_digest
from structgrad.repro.running.levels import expected
from structgrad.repro.running.places import Place, own
from structgrad.repro.running.provenance import forget_peak_memory, hardware, libraries, peak_memory_mb
from structgrad.repro.running.realdata import data_folder

Show = Callable[[int, int, dict[str, float]], None]


def trainer_digest(plan: Plan, experiment: str) -> str:
    """The source digest of what trains an experiment: the trainer's module and all that it imports."""
    return source_digest(f"{plan.experiments[experiment].experiment.package}.train")


def config_digest(plan: Plan, shard: Shard) -> str:
    """sha256 of the shard's identity and hyper-parameters."""
    config = plan.experiments[shard.experiment].config_for(shard)
    return hashlib.sha256(json.dumps([shard.id, config], sort_keys=True).encode()).hexdigest()


def key_of(plan: Plan, shard: Shard) -> str:
    """What a shard's numbers depend on in this checkout: hyper-parameters, sources, libraries."""
    return f"{config_digest(plan, shard)} {trainer_digest(plan, shard.experiment)} {lock_digest()}"


def restore_shard(plan: Plan, shard: Shard) -> dict[str, Any] | None:
    """Write the record of a shard again that a job of this checkout had finished with the same key, and return it."""
    record = finished.kept(shard, key_of(plan, shard))
    return record and records.save({key: value for key, value in record.items() if key != "digest"}, shard.path)


def run_shard(
    plan: Plan,
    shard: Shard,
    show: Show,
    threads: int,
    checkpoint_every: float,
    budget: float | None,
    place: Place | None = None,
    expects: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Train the shard (or go on from its checkpoint), write its record and return it.

    Args:
        plan: what says how it trains.
        shard: what to train.
        show: called after each step with its number, the replicas that still train, and numbers to show.
        threads: for solvers and noise.
        checkpoint_every: seconds.
        budget: seconds until it checkpoints and hands back.
        place: where record and checkpoint go; by default where the plan looks for them.
        expects: called before the first step with the most steps that there can be, where that is known.

    Raises:
        structgrad.training.loop.OutOfTimeError: the budget ran out; the state is in the checkpoint.
        UserError: the device or the data is missing, the data is damaged, or the disk is full.
    """
    from structgrad.parallel import set_threads
    from structgrad.repro.running.returned import checked
    from structgrad.training.checkpoint import Checkpoint
    from structgrad.training.heap import keep_freed_memory
    from structgrad.training.job import Job
    from structgrad.training.loop import Limits

    started, clock = datetime.now(UTC), time.monotonic()
    experiment = plan.experiments[shard.experiment].experiment
    config = plan.experiments[shard.experiment].config_for(shard)
    parameters = plan.experiments[shard.experiment].parameters_for(shard)
    device = plan.config["device"]
    check_device(device)
    set_threads(threads)
    keep_freed_memory()
    sources = trainer_digest(plan, shard.experiment)
    key = key_of(plan, shard)
    place = place or own(shard)
    checkpoint = Checkpoint(place.checkpoint, key)
    forget_peak_memory()
    job = Job(
        experiment.seed_name, shard.setting, shard.arm, shard.first, shard.count,
        parameters, checkpoint, Limits(checkpoint_every, budget), show, device, experiment.per_data_set,
        expects,
    )  # fmt: skip
    seeds = job.seeds(["data"])["data"]
    commit, dirty, _ = git.state()  # before the training: the checkout may change during it
    with data_folder(plan):
        data = datasets.verified_digest(plan, shard, parameters, seeds)
        check_writable(place.record.parent)  # not after hours
        trained = checked(_trained(experiment, job), experiment, shard)
    lasted = time.monotonic() - clock
    run = {
        "started": started.isoformat(timespec="seconds"),
        # a clock may be set while a training runs; what passed since its start does not depend on it
        "finished": (started + timedelta(seconds=lasted)).isoformat(timespec="seconds"),
        "seconds": round(trained.seconds_before + lasted, 2),
        "resumed": trained.resumed,
        "peak_memory_mb": peak_memory_mb(),
        "device": device,
        "threads": threads,
        "hardware": hardware(device),
    }
    record = {
        "schema": records.SCHEMA,
        **plan.experiments[shard.experiment].identity(shard),
        "level": expected(experiment, run),
        "config": config,
        "seeds": dict(trained.seeds),
        "provenance": {
            "source_digest": sources,
            "git_commit": commit,
            "git_dirty": dirty,
            "lock_digest": lock_digest(),
            "data_digest": data,
            "libraries": libraries(),
            "command": f"structgrad run {shard.id} --scale {shard.scale}",
        },
        "run": run,
        "history": dict(trained.history),
        "results": [
            {"replica": shard.first + index, **result.content(experiment.clock)}
            for index, result in enumerate(trained.results)
        ],
    }
    saved = records.save(record, place.record)
    if place == own(shard):
        finished.keep(shard, key, saved)
        shard.note.unlink(missing_ok=True)
    checkpoint.clear()
    return saved


def _trained(experiment: Experiment, job: Any) -> Any:
    """What the trainer gives; from the start where its checkpoint turns out to hold something else."""
    from structgrad.training.checkpoint import UnusableStateError

    try:
        return trainer(experiment)(job)
    except UnusableStateError as error:
        print(f"structgrad: {error}; the training begins anew", file=sys.stderr, flush=True)
        return trainer(experiment)(job)


def check_device(device: str) -> None:
    """Refuse a device that this machine lacks.

    Raises:
        UserError: the line says what it has.
    """
    if device == "cpu":
        return
    import torch

    count = torch.cuda.device_count()
    index = int(device.partition(":")[2] or 0)
    if index >= count:
        raise lacking(device, count)
