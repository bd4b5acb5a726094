"""A disk that is full or read-only: one line, nothing half written, and the same bytes once there is room."""

from __future__ import annotations

import pytest
import torch

from structgrad.errors import UserError
from structgrad.repro.evidence.records import load, save
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.program import typed
from structgrad.training.checkpoint import Checkpoint

pytestmark = pytest.mark.faults
RECORD = "records/indelman_1a/d=5/direct.0-2.json"


def contents(folder):
    files = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {path.relative_to(folder).as_posix(): content for path, content in files.items()}


def last(said):
    assert "Traceback" not in said
    return said.splitlines()[-1]


@pytest.mark.parametrize(("words", "product"), [(("tables",), "tables/indelman_1a.csv"), (("report",), "report.html")])
def test_full_where_what_is_derived_is_written(disk, call, words, product):
    folder = results(disk.plan.scale)
    before = contents(folder)
    path = folder / product
    path.write_bytes(path.read_bytes() + b"older")  # so that there is something to write
    older = contents(folder)
    disk.fill()
    code, said = call(*words)
    assert code == 2
    assert "no space left to write" in last(said)
    assert "free some and run again, nothing was lost" in last(said)
    assert contents(folder) == older  # and nothing half written beside it
    disk.free()
    assert call(*words)[0] == 0
    assert contents(folder) == before


def test_full_where_a_record_is_written(disk):
    path = results(disk.plan.scale) / RECORD
    record, before = load(path), path.read_bytes()
    changed = {**record, "results": [{**record["results"][0], "replica": n} for n in range(300)]}
    disk.fill()
    with pytest.raises(UserError, match="no space left to write"):
        save(changed, path)
    assert path.read_bytes() == before
    assert [other.name for other in path.parent.iterdir() if other.name.startswith(".")] == []
    disk.free()
    assert save({key: value for key, value in record.items() if key != "digest"}, path) == record
    assert path.read_bytes() == before


def test_full_where_a_checkpoint_is_written(disk):
    checkpoint = Checkpoint(disk.folder / "checkpoint.pt", "key")
    checkpoint.save({"step": 1, "weights": torch.zeros(3)})
    disk.fill()
    with pytest.raises(UserError, match="no space left to write"):
        checkpoint.save({"step": 2, "weights": torch.zeros(100_000)})
    state = checkpoint.load()
    assert state is not None
    assert state["step"] == 1  # the one before is whole
    assert [path.name for path in disk.folder.glob(".*")] == []


@pytest.mark.parametrize(
    ("words", "product"),
    [
        (("tables",), "tables"),
        (("report",), "report.html"),
        (("run", "indelman_1a/d=5/direct/0-2", "--fresh"), "records/indelman_1a/d=5"),
        (("data", "make", "indelman_1a"), "data/indelman_1a.json"),
    ],
)
def test_read_only(disk, call, words, product):
    folder = results(disk.plan.scale)
    for name in ("tables/indelman_1a.csv", "report.html"):
        (folder / name).write_text("older")
    before = contents(folder)
    disk.read_only()
    code, said = call(*words)
    assert code == 2
    assert f"cannot write {folder / product}" in last(said)
    assert "Read-only file system" in last(said)
    assert contents(folder) == before


def test_read_only_is_enough_for_an_audit(disk, call):
    disk.read_only()
    code, said = call("audit")
    assert code == 0, said


def test_read_only_is_said_before_a_training(disk, call, monkeypatch):
    """Not after its hours."""
    monkeypatch.setattr("structgrad.repro.running.run._trained", lambda *_: pytest.fail("it was trained"))
    disk.read_only()
    assert call("run", "indelman_1a/d=5/direct/0-2", "--fresh")[0] == 2


@pytest.mark.parametrize("kept", [0, 60], ids=["empty", "truncated"])
def test_a_truncated_file_of_data_digests(finished, call, monkeypatch, kept):
    """It is met before a training; deleted, as the line says, it is made anew."""
    path = results(finished.scale) / "data/indelman_1a.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    with monkeypatch.context() as patch:
        patch.setattr("structgrad.repro.running.run._trained", lambda *_: pytest.fail("it was trained"))
        code, said = call("run", "indelman_1a/d=5/direct/0-2", "--fresh")
    assert code == 2
    assert str(path) in last(said)
    path.unlink()
    assert call("data", "make", "indelman_1a")[0] == 0
    assert path.read_bytes() == whole


def test_a_truncated_record(finished, call):
    path = results(finished.scale) / RECORD
    path.write_bytes(path.read_bytes()[:900])
    code, said = call("tables")
    assert code == 2
    assert f"{path}: not JSON" in last(said)
    anew = typed("structgrad run indelman_1a/d=5/direct/0-2 --scale paper --fresh")
    assert last(said).endswith(f"train it anew: {anew}")
