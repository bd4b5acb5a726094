"""What a replay found, for a machine to read: who drew what on which machine, and each record's outcome."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from structgrad.experiments import REGISTRY
from structgrad.files import sha256
from structgrad.repro.evidence.attestations import numbers_digest, processor_of, statement
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import Plan
from structgrad.repro.replay.replaying import Drawn, Replayed, made_up_below, proven
from structgrad.repro.running import git
from structgrad.repro.running.comparison import compare
from structgrad.repro.running.provenance import hardware, libraries, lock_digest

# By these, torch, MKL and numba take a processor for another: how tests emulate machines, which are none of their own.
EMULATING = ("ATEN_CPU_CAPABILITY", "MKL_CBWR", "MKL_DEBUG_CPU_TYPE", "MKL_ENABLE_INSTRUCTIONS", "NUMBA_CPU_NAME")


def replay_found(plan: Plan, chosen: Drawn, replayed: Sequence[Replayed]) -> dict[str, Any]:
    """The draw, this machine and the outcomes: the predicate of an attestation."""
    text, count, minutes = chosen.asked
    found = [one.outcome for one in replayed]
    return {
        "scale": plan.scale,
        "found_by": "replay",
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "draw": {
            "seed": text,
            "count": count,
            "minutes": minutes,
            "records": chosen.of,
            "pool": chosen.pool,
            "without_data": list(chosen.left_out),
        },
        "made_up_below": made_up_below(found),
        "proves": proven(chosen.of, chosen.weighted, found),
        "by": this_machine(plan.config["device"]),
        "outcomes": [outcome_of(one) for one in replayed],
    }


def records_found(plan: Plan, by: Mapping[str, Any], compared: Sequence[Replayed]) -> dict[str, Any]:
    """The same of whole records that another machine has made; nobody drew them, so they bound nothing."""
    agreed = sum(one.outcome.confirms for one in compared)
    return {
        "scale": plan.scale,
        "found_by": "records",
        "finished": max(one.again["run"]["finished"] for one in compared),
        "draw": None,
        "made_up_below": None,
        "proves": f"{agreed} of {len(compared)} match; nobody drew them, so that it says nothing of other records",
        "by": by,
        "outcomes": [outcome_of(one) for one in compared],
    }


def attestation(scale: str, predicate: Mapping[str, Any], compared: Sequence[Replayed]) -> dict[str, Any]:
    """The in-toto statement of that, about the records' files."""
    paths = [one.shard.path for one in compared]
    return statement(predicate, [(path.relative_to(results(scale)).as_posix(), sha256(path)) for path in paths])


def this_machine(device: str) -> dict[str, Any]:
    """Sources, libraries and hardware, and whether libraries are told to take it for another."""
    commit, dirty, _ = git.state()
    return {
        "git_commit": commit,
        "git_dirty": dirty,
        "lock_digest": lock_digest(),
        "libraries": libraries(),
        "device": device,
        "hardware": hardware(device),
        "told_to_be": {name: os.environ[name] for name in EMULATING if name in os.environ},
    }


def machine_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The same of the machine that made a record, which does not say what libraries were told."""
    made, run = record["provenance"], record["run"]
    own = {key: made[key] for key in ("git_commit", "git_dirty", "lock_digest", "libraries")}
    return {**own, "device": run["device"], "hardware": run["hardware"], "told_to_be": {}}


def outcome_of(one: Replayed) -> dict[str, Any]:
    """A record beside its other training."""
    moved = compare(one.record, one.again, REGISTRY[one.shard.experiment]).metrics
    return {
        "shard": one.shard.id,
        "record": one.record["digest"],
        "processor": processor_of(one.record["run"]["hardware"]),
        "numbers": numbers_digest(one.record),
        "verdict": one.outcome.verdict,
        "why": one.outcome.why,
        "again": {"record": one.again["digest"], "numbers": numbers_digest(one.again)},
        "seconds": one.again["run"]["seconds"],
        "moved": [
            {"metric": m.metric, "unit": m.unit, "before": m.before, "now": m.now, "replicas": m.replicas}
            for m in moved
        ],
    }
