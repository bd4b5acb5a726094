"""No two jobs on one device, by a list of devices that need not be there."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from structgrad.errors import UserError
from structgrad.repro.cli import main
from structgrad.repro.running.devices import FOLDER, SCHEDULERS, VISIBLE, leased, wanted

HOLD = """
import sys
from structgrad.repro.running.devices import VISIBLE, leased
import os
with leased(sys.argv[1]):
    print(os.environ[VISIBLE], flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A workstation that shows three devices."""
    for name in SCHEDULERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(FOLDER, str(tmp_path / "runtime"))
    monkeypatch.setenv(VISIBLE, "0,1,2")
    return tmp_path


def test_one_after_the_other_sees_a_device_of_its_own(monkeypatch):
    with leased("cuda"):
        assert os.environ[VISIBLE] == "0"
        monkeypatch.setenv(VISIBLE, "0,1,2")  # another job's view
        with leased("cuda"):
            assert os.environ[VISIBLE] == "1"
    with leased("cuda"):
        assert os.environ[VISIBLE] == "0"


def test_the_view_is_as_before_when_the_lease_ends(monkeypatch):
    with leased("cuda"):
        pass
    assert os.environ[VISIBLE] == "0,1,2"


def test_jobs_of_their_own_share_nothing_and_a_dead_one_lets_go():
    def start():
        job = subprocess.Popen(
            [sys.executable, "-c", HOLD, "cuda"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert job.stdout is not None
        return job, job.stdout.readline().strip()

    jobs = [start() for _ in range(3)]
    try:
        assert sorted(device for _, device in jobs) == ["0", "1", "2"]
        with pytest.raises(UserError, match="no CUDA device is free: other jobs hold 0, 1, 2"), leased("cuda"):
            pass
        dead, device = jobs[1]
        dead.kill()
        dead.wait()
        with leased("cuda"):
            assert os.environ[VISIBLE] == device
    finally:
        for job, _ in jobs:
            job.kill()
            job.communicate()


def test_a_device_by_number_is_that_one_and_the_view_stays(monkeypatch):
    monkeypatch.setenv(VISIBLE, "4,GPU-5fa6,7")
    with leased("cuda:1"):
        assert os.environ[VISIBLE] == "4,GPU-5fa6,7"
        with pytest.raises(UserError, match="other jobs hold GPU-5fa6"), leased("cuda:1"):
            pass
        with leased("cuda:2"):
            pass


@pytest.mark.parametrize(
    ("named", "devices"), [("3", ["3"]), ("1, MIG-a ,2", ["1", "MIG-a", "2"]), ("0,-1,2", ["0"]), ("0,1", ["0", "1"])]
)
def test_the_list_is_read_as_cuda_reads_it(monkeypatch, named, devices):
    monkeypatch.setenv(VISIBLE, named)
    assert wanted("cuda") == devices


@pytest.mark.parametrize("named", ["", "-1", "NoDevFiles"])
def test_no_device_is_one_line(project, monkeypatch, capsys, named):
    monkeypatch.setenv(VISIBLE, named)
    with pytest.raises(SystemExit) as left:
        main(["run", "indelman_1a/d=5/direct/0-9", "--set", "device=cuda"])
    assert left.value.code == 2
    assert capsys.readouterr().err == (
        "structgrad: device cuda asked for, but this machine shows 0 CUDA devices; set device: cpu in config.yaml\n"
    )


def test_a_job_to_which_slurm_gave_none_takes_nobodys(project, monkeypatch, capsys):
    monkeypatch.delenv(VISIBLE)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    with pytest.raises(SystemExit) as left:
        main(["run", "indelman_1a/d=5/direct/0-9", "--set", "device=cuda"])
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("structgrad: Slurm gave job 77 no GPU")
    assert told.count("\n") == 1


@pytest.mark.parametrize("name", ["SLURM_JOB_ID", "SLURM_STEP_ID"])
def test_jobs_of_a_scheduler_count_their_devices_each(monkeypatch, name):
    """Two devices, each the first that its job (or step) sees."""
    monkeypatch.setenv("SLURM_JOB_ID", "76")
    with ExitStack() as stack:
        for number in ("77", "78"):
            monkeypatch.setenv(name, number)
            monkeypatch.setenv(VISIBLE, "0")
            stack.enter_context(leased("cuda"))
            assert os.environ[VISIBLE] == "0"
            with pytest.raises(UserError, match="no CUDA device is free"), leased("cuda"):
                pass


def test_a_folder_that_cannot_be_is_one_line(machine, monkeypatch):
    (machine / "file").touch()
    monkeypatch.setenv(FOLDER, str(machine / "file"))
    with pytest.raises(UserError, match="name another folder in STRUCTGRAD_RUNTIME"), leased("cuda"):
        pass


def test_no_device_is_leased_for_the_processor(machine):
    with leased("cpu"):
        assert os.environ[VISIBLE] == "0,1,2"
    assert not (machine / "runtime").exists()


def test_other_users_may_take_the_locks(machine):
    with leased("cuda"):
        assert Path(machine / "runtime/structgrad-devices").stat().st_mode & 0o1777 == 0o1777
        assert (machine / "runtime/structgrad-devices/0.lock").stat().st_mode & 0o666 == 0o666
