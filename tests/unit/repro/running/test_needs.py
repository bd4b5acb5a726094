"""What a job asks for: what it should take and a margin, more at each attempt, never more than a job may."""

from __future__ import annotations

from itertools import pairwise

import pytest

from structgrad.repro.planning.config import load_config
from structgrad.repro.planning.plan import Plan
from structgrad.repro.running.estimates import Origin
from structgrad.repro.running.needs import MARGINS, MOST, needs
from structgrad.repro.running.packs import Pack


def asked(project, seconds=3600.0, memory=1000.0, origin: Origin = "measured", attempt=1, **config):
    plan = Plan("paper", load_config(config), {}, ())
    return needs(plan, Pack("a_1", "a", (), seconds, memory, origin), attempt)


def test_it_asks_for_what_was_measured_and_a_margin(project):
    found = asked(project)
    time, memory = MARGINS["measured"]
    assert found.runtime == 60 * time + 5
    assert memory * 1000 <= found.mem_mb < memory * 1000 + 256
    assert found.mem_mb % 256 == 0
    assert (found.threads, found.gpu) == (1, 0)


def test_what_is_less_certain_asks_for_more(project):
    by_origin = [asked(project, origin=origin) for origin in ("measured", "scaled", "guess")]
    assert [each.runtime for each in by_origin] == sorted({each.runtime for each in by_origin})
    assert [each.mem_mb for each in by_origin] == sorted({each.mem_mb for each in by_origin})


def test_attempts_ask_for_more_up_to_a_limit(project):
    tries = [asked(project, attempt=attempt) for attempt in range(1, 11)]
    for one, after in pairwise(tries[:4]):
        assert after.mem_mb > one.mem_mb
        assert after.runtime > one.runtime
    assert tries[-1].mem_mb == asked(project, memory=1000.0 * MOST).mem_mb
    assert tries[-1] == tries[-2]


@pytest.mark.parametrize(
    ("config", "minutes"),
    [({}, 24 * 60), ({"job_hours": 2}, 120), ({"time_budget": 3600}, 70), ({"time_budget": 1e6}, 24 * 60)],
)
def test_no_job_asks_for_more_than_it_may(project, config, minutes):
    assert asked(project, seconds=1e6, **config).runtime == minutes


def test_a_job_of_seconds_asks_for_some_minutes(project):
    assert asked(project, seconds=1.0).runtime == 10


@pytest.mark.parametrize(("device", "gpu"), [("cpu", 0), ("cuda", 1), ("cuda:3", 1)])
def test_devices(project, device, gpu):
    assert asked(project, device=device).gpu == gpu


def test_cores_are_those_that_a_job_is_told_to_use(project):
    assert asked(project, threads=3).threads == 3
