"""The lock of a scale where the project's file system has none, as some home folders."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from pathlib import Path

import pytest

from structgrad.errors import UserError
from structgrad.repro.running import lock


@pytest.fixture
def lockless(project, tmp_path, monkeypatch):
    """Files below .work cannot be locked; those elsewhere can."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    real = fcntl.flock

    def flock(file, how):
        if "/.work/" in str(Path(f"/proc/self/fd/{file}").readlink()):
            raise OSError(errno.ENOLCK, "No locks available")
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    return project


def test_what_runs_on_this_machine_is_kept_away_all_the_same(lockless):
    held = lock.Lock("smoke")
    lock.Lock("desktop").release()  # another scale is another lock
    with pytest.raises(UserError, match=f"scale smoke is being worked on by process {os.getpid()};"):
        lock.Lock("smoke")
    assert len(held.files) == 2  # the workflow inherits both
    held.release()
    lock.Lock("smoke").release()
