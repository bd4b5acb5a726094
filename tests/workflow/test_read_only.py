"""An installation that nobody may write to, used without a home to write to: kernels compile all the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Permissions do not hold root back, unless it lets go of what makes it root.
HELD = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
SOLVE = """
import subprocess, sys
from structgrad.polytopes import Matching
import torch
assert Matching(3).argmax(torch.eye(3)[None]).diagonal(dim1=-2, dim2=-1).sum() == 3
if len(sys.argv) < 2:
    again = subprocess.run([sys.executable, *sys.orig_argv[1:], "again"], capture_output=True, text=True, check=True)
    assert not again.stderr, again.stderr
"""


pytestmark = pytest.mark.skipif(bool(HELD) and shutil.which("setpriv") is None, reason="root, and no setpriv")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with sources and home for reading, and ``tmp`` for writing."""
    folder = tmp_path_factory.mktemp("installed")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "home").mkdir()
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    folder.chmod(0o755)
    (folder / "tmp").mkdir()
    yield folder
    for path in (folder / "src", folder / "home", *(folder / "src").rglob("*")):
        path.chmod(0o755)


def run(place, code, **variables):
    """Run code there, whatever this process may write to."""
    left_out = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "USER", "LOGNAME", "STRUCTGRAD_ROOT", "TMPDIR")
    environment = {key: value for key, value in os.environ.items() if key not in left_out}
    environment |= {"PYTHONPATH": str(place / "src"), "HOME": str(place / "home"), "TMPDIR": str(place / "tmp")}
    command = [*HELD, sys.executable, "-c", code]
    return subprocess.run(command, cwd=place / "tmp", env=environment | variables, capture_output=True, text=True)


@pytest.mark.slow
def test_kernels_compile_in_a_temporary_folder_and_that_is_said_once(place):
    done = run(place, SOLVE)
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert "cannot be written: compiled kernels are kept in" in line
    (kept,) = (place / "tmp").glob("structgrad-kernels-*")
    assert str(kept) in line
    assert kept.stat().st_mode & 0o077 == 0
    assert list(kept.rglob("*.nbi"))


def test_a_folder_that_is_named_is_used_and_nothing_is_said(place):
    named = str(place / "tmp" / "named")
    done = run(place, "import os, structgrad; print(os.environ['NUMBA_CACHE_DIR'])", NUMBA_CACHE_DIR=named)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, named, "")


def test_numba_may_have_been_imported_before(place):
    done = run(place, "import numba, structgrad; print(numba.config.CACHE_DIR)")
    assert Path(done.stdout.strip()).parent == place / "tmp", done.stderr


def test_a_folder_that_another_could_have_filled_is_not_used(place):
    """What is kept there is run: a folder open to all may hold anybody's."""
    trap = place / "tmp" / f"structgrad-kernels-{os.getuid()}"
    shutil.rmtree(trap, ignore_errors=True)
    trap.mkdir()
    trap.chmod(0o777)
    done = run(place, "import os, structgrad; print(os.environ['NUMBA_CACHE_DIR'])")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).parent == place / "tmp"
    assert Path(done.stdout.strip()) != trap
    shutil.rmtree(trap)
