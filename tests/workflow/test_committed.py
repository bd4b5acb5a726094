"""What comes with the repository is used as it is: a fresh clone trains only what no record is there for."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from structgrad.repro import audit
from structgrad.repro.planning.plan import load_plan

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("scale", ["paper", "desktop"])
def test_a_fresh_clone_keeps_the_committed_records(tmp_path, monkeypatch, scale):
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    monkeypatch.setenv("PYTHONPATH", str(clone / "src"))
    shown = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", "--config", f"scale={scale}"],
        cwd=clone,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    monkeypatch.setenv("STRUCTGRAD_ROOT", str(clone))
    missing = {
        shard.path.relative_to(clone).as_posix() for shard in load_plan(scale).shards if not shard.path.is_file()
    }
    outputs = " ".join(re.findall(r"^ +output: (.*)$", shown, re.MULTILINE))
    assert set(re.findall(r"results/\w+/records/[^,\s]+", outputs)) == missing
    made_again = re.findall(r"results/\w+/data/\w+\.json", outputs)
    assert not [name for name in made_again if (clone / name).is_file()]  # of what has records, data is not made again


@pytest.mark.parametrize("scale", ["paper", "desktop"])
def test_committed_records_are_sound_and_promise_no_level_but_their_own(monkeypatch, scale):
    """Those that were sealed before levels were declared stay as they are."""
    monkeypatch.setenv("STRUCTGRAD_ROOT", str(ROOT))
    scene = audit.Scene(load_plan(scale))
    assert scene.loaded
    assert [*audit.records_are_sealed(scene), *audit.levels_are_those_declared(scene)] == []
