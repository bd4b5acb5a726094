"""What a replay found, for a machine to read: who drew what on which machine, and each record's outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from structgrad.repro.planning.plan import Plan
from structgrad.repro.replay.replaying import Drawn, Replayed, made_up_below, proven
from structgrad.repro.running import git
from structgrad.repro.running.provenance import hardware, libraries, lock_digest

SCHEMA = "structgrad.replay/1"


def statement(
    plan: Plan, text: str, minutes: float | None, chosen: Drawn, replayed: Sequence[Replayed]
) -> dict[str, Any]:
    """The draw, the machine and the outcomes, as JSON holds them."""
    commit, dirty, _ = git.state()
    outcomes = [one.outcome for one in replayed]
    return {
        "schema": SCHEMA,
        "scale": plan.scale,
        "seed": text,
        "minutes": minutes,
        "records": chosen.of,
        "left_out": chosen.left_out,
        "made_up_below": made_up_below(outcomes),
        "proves": proven(chosen, outcomes),
        "by": {
            "git_commit": commit,
            "git_dirty": dirty,
            "lock_digest": lock_digest(),
            "libraries": libraries(),
            "device": plan.config["device"],
            "hardware": hardware(plan.config["device"]),
        },
        "replayed": [
            {
                "shard": one.shard.id,
                "record": one.record["digest"],
                "verdict": one.outcome.verdict,
                "why": one.outcome.why,
                "again": one.again["digest"],
                "seconds": one.again["run"]["seconds"],
            }
            for one in replayed
        ],
    }
