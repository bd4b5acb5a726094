"""Compile what trainings compile, once and before many jobs start at the same time and each compiles it for itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from structgrad.repro.planning.plan import Plan
from structgrad.repro.planning.shard import Shard
from structgrad.repro.progress import stage


def compile_for(plan: Plan, experiments: Iterable[str]) -> None:
    """One step of one replica of every arm, whose state is thrown away: numba keeps the kernels that it needed.

    It has to be done on a node: kernels are compiled for a processor.
    """
    from structgrad.repro.running.places import Place
    from structgrad.repro.running.run import run_shard
    from structgrad.training.loop import OutOfTimeError

    firsts = {(shard.experiment, shard.arm): shard for name in experiments for shard in reversed(plan.shards_of(name))}
    with tempfile.TemporaryDirectory() as folder, stage("compiling", len(firsts), "arms") as done:
        place = Place(Path(folder) / "record.json", Path(folder) / "checkpoint.pt")
        for shard in firsts.values():
            if not shard.left_out:
                one = Shard(plan.scale, shard.experiment, shard.setting, shard.arm, 0, 1)
                with suppress(OutOfTimeError):
                    run_shard(plan, one, lambda *_: None, 1, float("inf"), 0.0, place)
            done()
