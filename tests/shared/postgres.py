"""A PostgreSQL server of Debian's package, in a folder of its own, which a test starts and stops."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow_server import free_port

OWNER = "postgres"  # the package makes this user; the server does not run as root


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL here: apt-get install --no-install-recommends postgresql")
    if os.geteuid():
        pytest.skip("only root can start a server as its user")
    return found[-1].parent


@contextmanager
def database() -> Iterator[str]:
    """The address of an empty database, for SQLAlchemy; skipped where there is no PostgreSQL."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="sg-pg-"))  # pytest's own folders are closed to other users
    shutil.chown(folder, OWNER)
    port = free_port()
    settings = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off"

    def control(*words: str) -> None:
        told = [str(programs / words[0]), *words[1:], "-D", str(folder / "data")]
        subprocess.run(told, user=OWNER, group=OWNER, cwd=folder, check=True, capture_output=True, env={"LC_ALL": "C"})

    try:
        control("initdb", "--auth=trust", "--encoding=UTF8", "--no-sync")
        control("pg_ctl", "start", "-w", "-t", "120", "-l", str(folder / "log"), "-o", settings)
        try:
            yield f"postgresql+pg8000://{OWNER}@127.0.0.1:{port}/{OWNER}"
        finally:
            control("pg_ctl", "stop", "-w", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
