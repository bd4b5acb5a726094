"""A run that is stopped or killed leaves nothing behind that stops the next one, and a second one disturbs no first."""

from __future__ import annotations

import fcntl
import os
import signal

import pytest
import waiting
from waiting import LONG, REPRODUCE, ended

PLAIN = ("snakemake", "--cores", "1", "--config", "experiments=[toy]")


@pytest.fixture(scope="module")
def toy(clone):
    waiting.add_to(clone)
    return clone


@pytest.fixture
def start(toy):
    yield from waiting.starting(toy)


def wait_for_the_lock(clone):
    with (clone / ".work/smoke/workflow.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def no_lock_of_snakemake(clone):
    return not list((clone / ".snakemake/locks").glob("*"))


# Each takes the time of a workflow or two: all but the first are left to `make test-faults`.
@pytest.mark.parametrize(
    "number", [signal.SIGINT, *(pytest.param(n, marks=pytest.mark.faults) for n in (signal.SIGTERM, signal.SIGHUP))]
)
def test_a_signal_stops_it_and_its_jobs_and_leaves_no_lock(toy, start, number):
    process, _, pipe = start(*REPRODUCE)
    process.send_signal(number)
    said = ended(process, pipe)
    assert process.returncode == 128 + number
    assert said.splitlines()[-1] == "structgrad: stopped; what is finished is kept: run again to go on"
    assert "Traceback" not in said
    assert no_lock_of_snakemake(toy)
    assert (toy / ".work/smoke/workflow.lock").read_text() == ""


@pytest.mark.faults
def test_killed_it_takes_its_jobs_along_and_the_next_takes_over(toy, start):
    process, _, pipe = start(*REPRODUCE)
    process.kill()
    assert pipe.read() == ""
    process.communicate(timeout=LONG)
    wait_for_the_lock(toy)
    assert str(process.pid) in (toy / ".work/smoke/workflow.lock").read_text()
    again, _, pipe = start(*REPRODUCE)  # it gets to the training
    again.send_signal(signal.SIGINT)
    assert "LockException" not in ended(again, pipe)


@pytest.mark.faults
def test_a_second_one_names_the_first_and_leaves_it_alone(toy, start, python):
    first, _, pipe = start(*REPRODUCE)
    for words in (REPRODUCE, PLAIN):
        second = python("-m", *words, check=False)
        assert second.returncode == 2
        assert f"structgrad: scale smoke is being worked on by process {first.pid};" in second.stderr
        assert "Traceback" not in second.stderr
    assert first.poll() is None
    dry = python("-m", *REPRODUCE, "--dry-run")
    assert "train" in dry.stdout
    first.send_signal(signal.SIGINT)
    ended(first, pipe)
    assert first.returncode == 130


@pytest.mark.faults
def test_a_plain_snakemake_is_named_while_it_lives_and_taken_over_when_it_was_killed(toy, start, python):
    plain, job, pipe = start(*PLAIN)
    second = python("-m", *REPRODUCE, check=False)
    assert second.returncode == 2
    assert f"process {plain.pid};" in second.stderr
    assert not no_lock_of_snakemake(toy)
    plain.kill()
    plain.wait()
    os.kill(job, signal.SIGKILL)  # nobody takes a plain snakemake's jobs along
    ended(plain, pipe)
    done = python("-m", *REPRODUCE)
    told = [line for line in done.stdout.splitlines() if "killed" in line]
    assert told == [
        f"taking over the lock of a run that was killed (process {plain.pid}), to go on from there",
        "a Snakemake that was killed left its lock; nobody works here, so it is taken away",
    ]
    assert no_lock_of_snakemake(toy)
    assert (toy / "results/smoke/report.html").is_file()
