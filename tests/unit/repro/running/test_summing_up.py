"""After a run: what trained, what failed and why, what remains."""

from __future__ import annotations

import os

from structgrad.repro.planning.plan import load_plan
from structgrad.repro.running.journal import SILENT
from structgrad.repro.running.summing_up import MOST, watch


def write(path, text):
    """As if a moment later, whatever the clock of the file system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


def record(seconds):
    return f'{{\n "run": {{"seconds": {seconds}}},\n}}\n'


def test_what_a_run_came_to(project):
    plan = load_plan("paper", {"experiments": ["indelman_1a"], "settings": ["d=5"]})
    kept, new, again, fails, dies, waits, failed_before = plan.shards
    for shard in (kept, again):
        write(shard.path, record(9.0))
    write(failed_before.log, "t failed: long ago\n")
    outcome = watch(plan)
    write(new.path, record(1800.0))
    write(again.path, record(5400.0))
    write(fails.log, "t training on here\nt failed: no disk\n")
    write(dies.log, "t training on here\nt epoch 3\n")
    found = outcome()
    assert (found.trained, found.remaining) == ([new, again], [waits, failed_before])
    assert found.hours == 2.0
    assert list(found.lines()) == [
        "this run: trained 2 shards in 2.00 core-hours, 2 failed, 2 remain",
        f"failed: {fails.id}: no disk; results/paper/logs/train/{fails.experiment}/d=5/{fails.arm}.{fails.span}.log",
        f"failed: {dies.id}: {SILENT}; results/paper/logs/train/{dies.experiment}/d=5/{dies.arm}.{dies.span}.log",
    ]


def test_nothing_to_tell_is_one_line(project):
    plan = load_plan("paper", {"experiments": ["indelman_1a"], "settings": ["d=5"], "arms": ["no_solver"]})
    write(plan.shards[0].path, record(1.0))
    assert list(watch(plan)().lines()) == ["this run: trained 0 shards in 0.00 core-hours"]


def test_what_has_no_data_does_not_remain(project):
    plan = load_plan("paper", {"experiments": ["indelman_1a"], "settings": ["d=5"], "arms": ["no_solver"]})
    write(plan.shards[0].note, "get it")
    assert not watch(plan)().remaining


def test_of_many_failures_some_are_told(project):
    plan = load_plan("paper", {"experiments": ["indelman_1a"]})
    outcome = watch(plan)
    for shard in plan.shards[: MOST + 3]:
        write(shard.log, "t failed: no disk\n")
    lines = list(outcome().lines())
    assert len(lines) == 2 + MOST
    assert lines[-1] == "... and 3 more failed"
