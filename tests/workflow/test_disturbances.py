"""Killed, out of room or with a clock that is set back: run again, a reproduction ends with the same bytes."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import clones
import disks
import pytest
import waiting
from waiting import LONG, REPRODUCE, ended

from structgrad.repro.evidence import records

pytestmark = pytest.mark.faults
RECORD = "records/toy/n=1/idle.0-1.json"
DERIVED = ("tables", "figures", "claims.json")
MEGABYTES = 256  # of a disk that takes sources, compiled kernels and results


def go_on(clone, path=None, prepare=None):
    """Reproduce with a job that does not wait, where programs are those of a path."""
    words, variables = [sys.executable, "-m", *REPRODUCE], clones.variables(clone)
    if path:
        variables["PATH"] = path
    done = subprocess.run(
        words, cwd=clone, env=variables, capture_output=True, text=True, timeout=LONG, preexec_fn=prepare
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def made(clone):
    """What a reproduction ends with, but for times: the record's numbers, and the files made from them."""
    folder = clone / "results/smoke"
    files = [path for name in DERIVED for path in (folder / name, *(folder / name).rglob("*")) if path.is_file()]
    assert len(files) > 3
    contents = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return contents | {RECORD: records.canonical(records.load(folder / RECORD))}


def empty(clone):
    for name in ("results", ".work", ".snakemake"):
        shutil.rmtree(clone / name, ignore_errors=True)


@pytest.fixture(scope="module")
def undisturbed(clone):
    """A clone with the task, and what a reproduction that nothing disturbs makes there."""
    waiting.add_to(clone)
    go_on(clone)
    return clone, made(clone)


@pytest.fixture
def toy(undisturbed):
    """The clone, with nothing made yet."""
    empty(undisturbed[0])
    return undisturbed[0]


@pytest.fixture
def start(toy):
    yield from waiting.starting(toy)


def test_kill_9_of_a_job_of_the_parent_and_of_the_whole_group(undisturbed, toy, start):
    """One after the other, each time that a job has begun."""
    kills = {
        "job": lambda process, job: os.kill(job, signal.SIGKILL),
        "parent": lambda process, job: process.kill(),
        "group": lambda process, job: os.killpg(process.pid, signal.SIGKILL),
    }
    for who, kill in kills.items():
        process, job, pipe = start(*REPRODUCE)
        kill(process, job)
        said = ended(process, pipe)  # which waits until the job is gone, too
        assert process.returncode == (2 if who == "job" else -signal.SIGKILL)
        assert "Traceback" not in said
        if who == "job":
            assert "run again to go on" in said.splitlines()[-1]
        assert not (toy / "results/smoke" / RECORD).exists()
    go_on(toy)
    assert made(toy) == undisturbed[1]


@pytest.fixture
def disk(tmp_path):
    """The task in a clone on a small disk of its own."""
    with disks.mounted(tmp_path, MEGABYTES):
        clones.copy_to(tmp_path)
        waiting.add_to(tmp_path)
        yield tmp_path


@pytest.fixture
def start_on_disk(disk):
    yield from waiting.starting(disk)


def test_a_disk_that_fills_while_a_job_trains(undisturbed, disk, start_on_disk):
    process, job, pipe = start_on_disk(*REPRODUCE)
    disks.fill(disk)
    os.kill(job, signal.SIGUSR1)
    said = ended(process, pipe)
    assert process.returncode == 2
    assert "no space left to write" in said or "No space left on device" in said
    assert "Traceback" not in said
    assert not (disk / "results/smoke" / RECORD).exists()
    disks.free(disk)
    go_on(disk)
    assert made(disk) == undisturbed[1]


def without_git(folder):
    """A path of all programs but git."""
    for place in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(place).glob("*"):
            (folder / program.name).unlink(missing_ok=True)
            (folder / program.name).symlink_to(program)
    (folder / "git").unlink(missing_ok=True)
    return f"{Path(sys.executable).parent}{os.pathsep}{folder}"


def test_64_open_files_no_git_and_then_files_of_the_future(undisturbed, toy, tmp_path):
    """What was made is not made again, though a clock that was set back has it made tomorrow."""
    go_on(toy, without_git(tmp_path), lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    once = made(toy)
    assert once == undisturbed[1]
    before = (toy / "results/smoke" / RECORD).read_bytes()
    tomorrow = time.time() + 86400
    for path in (toy / "results").rglob("*"):
        os.utime(path, (tomorrow, tomorrow))
    assert "training" not in go_on(toy).stdout
    assert (toy / "results/smoke" / RECORD).read_bytes() == before
    assert made(toy) == once
