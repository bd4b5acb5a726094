"""A run that is stopped or killed leaves nothing behind that stops the next one, and a second one disturbs no first.

The jobs here open a pipe and wait: that the test can read from it says that one is at work, that it ends says that the
job has.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TOY = {
    "spec": '''"""It learns nothing, and takes as long as the test likes."""

from structgrad.experiments.base import Arm, Experiment, Metric

EXPERIMENT = Experiment(
    name="toy",
    paper="berthet",
    table="toy",
    title="Nothing",
    axis="n",
    settings=("n=1",),
    arms=(Arm("idle", "Idle"),),
    metrics=(Metric("score", "score", "mean", factor=1.0, digits=0),),
    package=str(__package__),
    level=2,
    scales={
        "smoke": {
            "comparable": True,
            "reason": "nothing is cut",
            "blocks": [{"settings": ["n=1"], "arms": ["idle"], "replicas": 2}],
        },
    },
)
''',
    "data": """def digest(config, setting, seeds):
    return "0" * 64
""",
    "train": """import os
import signal

from structgrad.training.job import Trained
from structgrad.training.results import Mean, Result


def train(job):
    if "TOY_PIPE" in os.environ:
        with open(os.environ["TOY_PIPE"], "w") as pipe:
            print(os.getpid(), file=pipe, flush=True)
            signal.pause()
    score = Mean(1.0, 1.0, 1)
    return Trained(job.seeds(["data"]), [Result(0, "untrained", {"score": score})] * job.count, {})
""",
}
REPRODUCE = ("structgrad", "reproduce", "--cores", "1", "--set", "experiments=[toy]")
PLAIN = ("snakemake", "--cores", "1", "--config", "experiments=[toy]")
LONG = 300.0  # seconds that a busy machine may need


@pytest.fixture(scope="module")
def toy(clone, add_task):
    add_task(clone, "berthet", "toy", TOY)
    os.mkfifo(clone / "pipe")
    return clone


def hear():
    """Let signals come through, also where whoever started the tests ignores them, as a shell's background does."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def start(toy):
    """Start a command in the clone whose job waits; gives the process, the job's id and the open pipe."""
    begun = []

    def begin(*words):
        variables = {"PYTHONPATH": str(toy / "src"), "TOY_PIPE": str(toy / "pipe"), "PYTHONUNBUFFERED": "1"}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | variables | {"PATH": path}
        environment.pop("STRUCTGRAD_ROOT", None)
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=toy,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hear,
        )
        begun.append(process)
        pipe = (toy / "pipe").open()  # until the job opens it
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


def ended(process, pipe):
    """What a process said when it, and the job, had ended."""
    assert pipe.read() == ""
    return process.communicate(timeout=LONG)[1]


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
