"""A failed job is tried again for as long as it gets on, and never where the mistake is a person's."""

from __future__ import annotations

import socket

import pytest

from structgrad.errors import UserError
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.running import outcomes
from structgrad.repro.running.packs import Pack
from structgrad.repro.running.retries import Retries


@pytest.fixture
def pack(project, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    plan = load_plan("smoke")
    return Pack("indelman_1a_1", "indelman_1a", plan.shards[:2], 1.0, 100.0, "measured")


def fails(pack, code):
    """An attempt that ends with that code, or is killed."""
    with pytest.raises(SystemExit), outcomes.written_down("smoke", pack.name):
        raise SystemExit(code)


def gets_on(project, pack, text):
    folder = project / ".work/smoke" / pack.shards[1].id
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "checkpoint.pt"
    path.unlink(missing_ok=True)
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def test_it_is_a_number_to_snakemake(pack):
    assert isinstance(Retries(pack, lambda: 3), int)
    assert Retries(pack, lambda: 3) >= 0


def test_without_getting_on_as_often_in_a_row_as_allowed(pack):
    retries = Retries(pack, lambda: 3)
    fails(pack, 75)
    assert [retries > used for used in range(5)] == [True, True, True, False, False]


def test_for_ever_while_it_gets_on(project, pack):
    retries = Retries(pack, lambda: 1)
    for used in range(20):
        fails(pack, 75)
        gets_on(project, pack, str(used))
        assert retries > used
    assert retries > 20
    assert not retries > 21


def test_a_killed_one_is_tried_again(pack):
    assert Retries(pack, lambda: 1) > 0  # it wrote nothing down


def test_a_mistake_is_final_though_it_got_on(project, pack):
    retries = Retries(pack, lambda: 3)
    gets_on(project, pack, "before the mistake")
    with pytest.raises(UserError), outcomes.written_down("smoke", pack.name):
        raise UserError("no such device")
    assert outcomes.last("smoke", pack.name) == outcomes.Outcome(None, socket.gethostname(), 2, "no such device")
    assert not retries > 0


def test_never_where_the_profile_tries_nothing_again(project, pack):
    retries = Retries(pack, lambda: 0)
    gets_on(project, pack, "one step")
    assert not retries > 0


def test_the_last_attempt_counts_and_another_run_forgets(pack):
    fails(pack, 2)
    fails(pack, 75)
    assert outcomes.last("smoke", pack.name) == outcomes.Outcome(None, socket.gethostname(), 75)
    outcomes.forget("smoke")
    assert outcomes.last("smoke", pack.name) is None
