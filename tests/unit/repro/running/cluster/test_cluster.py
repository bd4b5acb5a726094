"""What a run asks of a cluster, and what it makes of the answers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from math import inf
from pathlib import Path

import pytest
from click.testing import CliRunner

from structgrad.errors import UserError
from structgrad.repro.commands.cluster import command
from structgrad.repro.running import stopping
from structgrad.repro.running.cluster import controller, polling, site
from structgrad.repro.running.cluster.controller import Controller
from structgrad.repro.running.cluster.watchdog import Watchdog


def init(*pairs):
    return CliRunner().invoke(command, ["init", *(word for pair in pairs for word in ("--set", pair))])


def test_site_yaml_says_what_the_plugin_is_told(project):
    assert site.resources(site.load_site(), gpu=True) == {"gpu": 1}  # without the file
    assert init("account=123", "partition=main", "gpu_partition=gpu", "gpu_type=a100").exit_code == 0
    here = site.load_site()
    assert site.resources(here, gpu=False) == {"slurm_account": "123", "slurm_partition": "main"}
    words = {"slurm_account": "123", "slurm_partition": "gpu"}
    assert site.resources(here, gpu=True) == words | {"gpu": 1, "gpu_model": "a100"}
    assert init("gpu_flag=gres", "modules=[cuda/12.4]", "container=/a/b.sif").exit_code == 0  # the rest stays
    here = site.load_site()
    assert site.resources(here, gpu=True) == words | {"gres": "gpu:a100:1"}
    put = ["--software-deployment-method", "apptainer", "env-modules"]
    assert site.options(here, gpu=False) == ["--jobs", "50", *put]
    assert site.options(here, gpu=True) == ["--jobs", "50", *put, "--apptainer-args", "--nv"]


def test_git_ignores_it():
    """A tracked file that is edited would make every record dirty."""
    root = Path(__file__).parents[5]
    assert f"/{site.NAME}" in (root / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("pair", ["acount=me", "gpu_flag=--gpus", "jobs=0", "kernels=not/absolute", "partition=a b"])
def test_a_wrong_word_is_named_and_nothing_is_written(project, pair):
    done = init(pair)
    assert isinstance(done.exception, UserError)
    assert pair.partition("=")[0] in str(done.exception)
    assert not site.path().exists()


def test_nobody_to_be_asked(project):
    assert "say it" in str(init().exception)


def test_scratch_and_kernels_are_variables_of_jobs(project, tmp_path, monkeypatch):
    monkeypatch.setenv("WHERE", str(tmp_path))
    site.write_site({"scratch": "$WHERE/scratch", "kernels": "/shared/kernels"})
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert site.variables(site.load_site()) == {"NUMBA_CACHE_DIR": "/shared/kernels"}
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert site.variables(site.load_site())["TMPDIR"] == str(tmp_path / "scratch")
    assert (tmp_path / "scratch").is_dir()


@pytest.mark.parametrize(
    ("age", "accounting", "command", "first", "forgets"),
    [
        (300, True, "sacct", 40, False),
        (2, True, "sacct", 40, False),
        (300, False, "squeue", 40, False),
        (60, False, "squeue", 20, True),
        (2, False, "squeue", 1, True),
    ],
)
def test_what_is_asked_and_how_soon(age, accounting, command, first, forgets):
    asked = Controller(age, accounting, ())
    words = polling.options(asked, {})
    assert words[words.index("--slurm-status-command") + 1] == command
    assert words[words.index("--slurm-init-seconds-before-status-checks") + 1] == str(first)
    assert polling.forgets(asked) == forgets


def test_where_there_is_no_accounting_sacct_asks_squeue(project, tmp_path):
    """The plugin's own question, word for word, is answered; a guess at an account fails as it does without this."""
    from snakemake_executor_plugin_slurm.job_status_query import query_job_status_sacct

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/squeue").write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    (tmp_path / "bin/squeue").chmod(0o755)
    path = os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]])
    variables = polling.variables(Controller(300, False, ()), path)
    done = subprocess.run(query_job_status_sacct("the-run"), shell=True, env=variables, capture_output=True, text=True)
    assert done.stdout == "--noheader|--states=all|--format=%i|%T|--name|the-run|"
    guess = subprocess.run(["sacct", "-nu", "me", "-o", "Account%256"], env=variables, capture_output=True, text=True)
    assert (guess.returncode, guess.stderr) == (1, "Slurm accounting storage is disabled\n")
    assert polling.variables(Controller(300, True, ()), path) == {}


ANSWERS = {
    ("scontrol",): "Configuration data\nMinJobAge               = 300 sec\nMinPrioThreshold = 9\n",
    ("sinfo",): "main*|1-00:00:00|(null)\nmain*|1-00:00:00|gpu:a100:4\nlong|infinite|(null)\n",
}


def test_the_controllers_answer_is_read(monkeypatch):
    monkeypatch.setattr(controller, "said", lambda *words: ANSWERS.get(words[:1]))
    asked = controller.ask()
    assert (asked.min_job_age, asked.accounting) == (300, False)
    assert [(part.name, part.default, part.limit, part.gres) for part in asked.partitions] == [
        ("main", True, "1-00:00:00", "gpu:a100:4"),
        ("long", False, "infinite", "(null)"),
    ]
    monkeypatch.setattr(controller, "said", lambda *words: None)
    with pytest.raises(UserError, match="does not answer"):
        controller.ask()


@pytest.mark.parametrize(
    ("span", "seconds"),
    [("1-02:03:04", 93784), ("12:00:00", 43200), ("9:30", 570), ("0:00", 0), ("UNLIMITED", None), ("INVALID", None)],
)
def test_slurms_spans(span, seconds):
    assert stopping.seconds_of(span) == seconds


def test_the_deadline_counts_from_the_jobs_start(monkeypatch):
    monkeypatch.setattr(stopping, "time_left", lambda: None)
    assert stopping.deadline(None) is None
    assert (stopping.deadline(1000.0) or inf) < time.monotonic() + 1000  # this process began before
    monkeypatch.setattr(stopping, "time_left", lambda: 36000.0)
    assert stopping.deadline(None) == pytest.approx(time.monotonic() + 36000 - stopping.MARGIN, abs=60)
    monkeypatch.setattr(stopping, "time_left", lambda: 60.0)
    assert (stopping.deadline(1e9) or inf) < time.monotonic() + 41  # a third is kept


# What is started in the background ignores SIGINT, and so would its children: as Snakemake, it then takes its killing.
SLEEPER = "import signal, time; signal.signal(signal.SIGINT, signal.default_int_handler); time.sleep(600)"


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", SLEEPER], process_group=0)
    yield process
    process.kill()
    process.wait()


def watched(process, ask, seconds):
    dog = Watchdog("run", 1.0, ask)
    dog.watch(process.pid)
    ended = threading.Event()
    threading.Thread(target=lambda: (process.wait(), ended.set()), daemon=True).start()
    bitten = ended.wait(seconds)
    return dog.stop(), bitten


def test_a_run_whose_jobs_are_unknown_is_ended(sleeper):
    """Jobs of others, and ended ones of its own, are none to wait for."""
    assert watched(sleeper, lambda: "other_1|RUNNING\nrun_1|COMPLETED\n", 120) == (True, True)


@pytest.mark.parametrize("answer", ["run_1|PENDING\n", "run_1|RUNNING\n", None])
def test_one_with_jobs_or_without_an_answer_is_left_alone(sleeper, answer):
    assert watched(sleeper, lambda: answer, 2) == (False, False)


def test_one_with_a_local_job_at_work_is_left_alone():
    command = [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{SLEEPER}'])"]
    process = subprocess.Popen(command, process_group=0)
    try:
        assert watched(process, lambda: "", 2) == (False, False)
    finally:
        os.killpg(process.pid, 9)
        process.wait()
