"""A task whose job opens a pipe and waits.

That a test can read from the pipe says that a job is at work, that it ends says that the job has.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import clones
import tasks

TOY = {
    "spec": tasks.spec("toy", ["idle"]),
    "data": tasks.NO_DATA,
    "train": """import os
import signal

from structgrad.training.job import Trained
from structgrad.training.results import Mean, Result


def train(job):
    if "TOY_PIPE" in os.environ:
        signal.signal(signal.SIGUSR1, lambda *_: None)  # which lets it go on
        with open(os.environ["TOY_PIPE"], "w") as pipe:
            print(os.getpid(), file=pipe, flush=True)
            signal.pause()
    score = Mean(1.0, 1.0, 1)
    return Trained(job.seeds(["data"]), [Result(0, "untrained", {"score": score})] * job.count, {})
""",
}
REPRODUCE = ("structgrad", "reproduce", "--cores", "1", "--set", "experiments=[toy]")
LONG = 300.0  # seconds that a busy machine may need
Started = tuple[subprocess.Popen[str], int, IO[str]]


def add_to(clone: Path) -> None:
    """Put the task, and its pipe, into a clone."""
    clones.add_task(clone, "berthet", "toy", TOY)
    os.mkfifo(clone / "pipe")


def hear() -> None:
    """Let signals come through, also where whoever started the tests ignores them, as a shell's background does."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def starting(clone: Path) -> Iterator[Callable[..., Started]]:
    """What starts a command in the clone whose job waits, and gives the process, the job's id and the open pipe; both
    are ended afterwards."""
    begun: list[subprocess.Popen[str] | IO[str]] = []

    def begin(*words: str) -> Started:
        variables = clones.variables(clone) | {"TOY_PIPE": str(clone / "pipe"), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=clone,
            env=variables,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hear,
            start_new_session=True,
        )
        begun.append(process)
        pipe = (clone / "pipe").open()  # until the job opens it
        job = int(pipe.readline())
        begun.append(pipe)
        return process, job, pipe

    yield begin
    for thing in begun:
        if isinstance(thing, subprocess.Popen):
            thing.kill()
            thing.communicate()
        else:
            thing.close()


def ended(process: subprocess.Popen[str], pipe: IO[str]) -> str:
    """What a process said when it, and the job, had ended."""
    assert pipe.read() == ""
    return process.communicate(timeout=LONG)[1]
