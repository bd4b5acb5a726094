"""The doctor on machines that lack something: it says what, and what to do."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from structgrad.repro.commands.doctor import command
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.running import doctor, software
from structgrad.repro.running.diagnosis import Diagnosis


@pytest.fixture
def plan(project):
    return load_plan("smoke")


def state(diagnoses):
    return {diagnosis.what: diagnosis.state for diagnosis in diagnoses}


def configured(plan, **changes):
    return replace(plan, config={**plan.config, **changes})


def test_this_machine_can_reproduce(plan):
    diagnoses = doctor.examine(plan)
    assert "fail" not in state(diagnoses).values()
    assert all(diagnosis.advice for diagnosis in diagnoses if diagnosis.state != "ok")
    told = CliRunner().invoke(command, ["--scale", "smoke", "--json"])
    assert told.exit_code == 0
    assert {row["what"] for row in json.loads(told.output)} == set(state(diagnoses))


def test_an_old_python(plan, monkeypatch):
    monkeypatch.setattr(software.sys, "version_info", (3, 10, 1))
    assert state(software.python(plan)) == {"python": "fail"}


def test_versions_that_are_not_the_locks(plan, project):
    lock = project / "requirements.lock"
    lock.write_text(
        "numpy==0.1 \\\n    --hash=sha256:00\n"
        "no-such-package==1.0 ; sys_platform != 'nowhere' \\\n    --hash=sha256:00\n"
        "other-package==1.0 ; sys_platform == 'nowhere' \\\n    --hash=sha256:00\n",
        encoding="utf-8",
    )
    (diagnosis,) = software.libraries(plan)
    assert (diagnosis.what, diagnosis.state) == ("lock", "warn")
    assert "numpy " in diagnosis.seen
    assert "instead of 0.1" in diagnosis.seen
    assert "no-such-package is missing" in diagnosis.seen
    assert "other-package" not in diagnosis.seen
    lock.write_text("", encoding="utf-8")
    assert state(software.libraries(plan)) == {"lock": "ok"}


def test_a_missing_library_fails(plan, monkeypatch):
    monkeypatch.setattr(software, "installed", lambda name: None if name == "snakemake" else "9.9")
    diagnoses = list(software.libraries(plan))
    assert (diagnoses[0].state, diagnoses[0].seen) == ("fail", "not installed: snakemake")


def test_an_old_snakemake(plan, monkeypatch):
    monkeypatch.setattr(software, "installed", lambda name: {"snakemake": "8.30.0"}.get(name))
    assert state(software.workflow(plan)) == {"snakemake": "fail", "mlflow": "warn"}


def test_a_device_that_is_not_here(plan):
    diagnoses = list(software.torch(configured(plan, device="cuda:77")))
    assert state(diagnoses)["device"] == "fail"
    assert "device" not in state(software.torch(plan))


@pytest.mark.parametrize(("free", "expected"), [(1e8, "fail"), (2e9, "warn"), (9e9, "ok")])
def test_room_on_the_disk(plan, monkeypatch, free, expected):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert state(doctor.disk(plan)) == {"disk": expected}


def test_folders_that_cannot_be_written(plan, monkeypatch):
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    assert state(doctor.disk(plan)) == {"disk": "fail"}


@pytest.mark.parametrize(
    ("place", "expected"),
    [(None, "fail"), (Path(tempfile.gettempdir()) / "structgrad-kernels-0", "warn"), (Path("/home/kernels"), "ok")],
)
def test_where_compiled_kernels_are_kept(plan, monkeypatch, place, expected):
    monkeypatch.setattr(doctor.cache, "place", lambda: place)
    assert state(doctor.kernels(plan)) == {"compiled kernels": expected}


def test_the_data_folder(project, tmp_path, monkeypatch):
    monkeypatch.delenv("STRUCTGRAD_DATA", raising=False)
    plan = load_plan("smoke", {"experiments": ["indelman_1a"]})
    assert state(doctor.data(plan)) == {"data": "ok"}
    assert state(doctor.data(configured(plan, data_folder=str(tmp_path)))) == {"data": "ok"}
    monkeypatch.setenv("STRUCTGRAD_DATA", str(tmp_path / "nowhere"))
    assert state(doctor.data(plan)) == {"data": "warn"}


def test_a_tracking_server_that_does_not_answer(plan):
    assert state(doctor.tracking(configured(plan, tracking="http://127.0.0.1:1"))) == {"tracking": "warn"}


def test_clusters(plan, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(doctor, "installed", lambda name: "2.0")
    (diagnosis,) = doctor.slurm(plan)
    assert (diagnosis.state, "doctor --cluster" in diagnosis.seen) == ("ok", True)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert "inside an allocation" in [diagnosis.seen for diagnosis in doctor.slurm(plan)]


def test_no_cluster(plan, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert state(doctor.slurm(plan)) == {"slurm": "ok"}


def test_exit_code_two_where_it_cannot(plan, monkeypatch):
    bad = Diagnosis("python", "fail", "old", "install another")
    monkeypatch.setattr(doctor, "QUESTIONS", (lambda _: iter([bad]),))
    told = CliRunner().invoke(command, ["--scale", "smoke"])
    assert told.exit_code == 2
    assert "-> install another" in told.output
