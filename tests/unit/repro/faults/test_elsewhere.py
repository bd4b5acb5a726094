"""An audit of an untouched tree finds nothing, wherever the tree lies and whoever looks."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.faults
SOURCES = Path(__file__).resolve().parents[4] / "src"
ELSEWHERE = {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PATH": os.defpath}


@pytest.mark.parametrize("files", ["64", "1024"])
def test_no_false_alarm(finished, options, tmp_path, files):
    """Another umask, time zone and locale, blanks in the path, 64 open files, no repository and (first) no git."""
    root = tmp_path / "a path with é and blanks"
    (tmp_path / "finished").rename(root)
    for path in root.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o400)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG"))}
    variables = kept | ELSEWHERE | {"STRUCTGRAD_ROOT": str(root), "PYTHONPATH": str(SOURCES)}
    if files == "64":
        variables["PATH"] = str(tmp_path / "nothing")
    words = shlex.join([sys.executable, "-m", "structgrad", "audit", "--scale", "paper", *options])
    line = f"umask 077; ulimit -n {files}; exec {words}"
    done = subprocess.run(["/bin/sh", "-c", line], env=variables, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything holds" in done.stdout
    for path in root.rglob("*"):
        path.chmod(0o755)
