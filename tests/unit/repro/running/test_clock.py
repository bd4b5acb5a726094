"""A clock that is set while a training runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from structgrad.repro.planning.plan import load_plan
from structgrad.repro.running import run

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("moved", [-2 * HOUR, 2 * HOUR], ids=["back", "forth"])
def test_a_record_has_the_times_that_passed(project, monkeypatch, moved):
    set_by = timedelta()

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + set_by

    def train(*words):
        nonlocal set_by
        trained = honest(*words)
        set_by = moved
        return trained

    honest = run._trained
    monkeypatch.setattr(run, "datetime", Clock)
    monkeypatch.setattr(run, "_trained", train)
    chosen = {"experiments": ["indelman_1a"], "arms": ["no_solver"], "settings": ["d=5"], "replicas": 2}
    plan = load_plan("smoke", chosen)
    before = datetime.now(UTC)
    record = run.run_shard(plan, plan.shard("indelman_1a/d=5/no_solver/0-1"), lambda *_: None, 1, 60.0, None)
    started, finished = (datetime.fromisoformat(record["run"][name]) for name in ("started", "finished"))
    assert before - timedelta(seconds=1) <= started <= finished <= datetime.now(UTC) + timedelta(seconds=1)
    assert abs((finished - started).total_seconds() - record["run"]["seconds"]) <= 1.0
