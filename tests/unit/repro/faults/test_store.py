"""A store that is damaged, held by another or out of room: one line that helps, and the same runs afterwards."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest
from mlflow_warnings import IGNORED

from structgrad.repro.audit import Scene
from structgrad.repro.audit.store import store_shows_the_records
from structgrad.repro.tracking import mlflow_store

pytestmark = [pytest.mark.faults, IGNORED]
STORE = "structgrad: results/paper/mlflow.db cannot be used "


def executed(*statements):
    def change(path):
        with closing(sqlite3.connect(path)) as store:
            for statement in statements:
                store.execute(statement)
            store.commit()

    return change


def told(said):
    """The one line that is not of how far it is."""
    (line,) = [line for line in said.splitlines() if not line.startswith(("loading ", "judging ", "writing "))]
    return line


DAMAGED = {
    "rubbish": lambda path: path.write_bytes(b"not a database" * 400),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:20_000]),
    "without a table": executed("DROP TABLE runs"),
    "half migrated": executed("UPDATE alembic_version SET version_num = 'bd07f7e963c5'"),
    "newer": executed("UPDATE alembic_version SET version_num = '0123456789ab'"),  # of an MLflow to come
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_store(ready, call, damage):
    DAMAGED[damage](mlflow_store.database(ready))
    code, said = call("tracking", "ingest")
    assert code == 2
    assert told(said).startswith(STORE)
    assert told(said).endswith("tracking rebuild` makes it anew")


def test_a_rebuild_mends_it(ready, call):
    DAMAGED["half migrated"](mlflow_store.database(ready))
    assert call("tracking", "rebuild")[0] == 0
    scene = Scene(ready)
    assert list(store_shows_the_records(scene)) == []
    assert scene.notes == []  # every record is shown


def test_a_store_that_another_program_holds(ready, call):
    with closing(sqlite3.connect(mlflow_store.database(ready), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        code, said = call("tracking", "ingest")
        assert code == 2
        assert told(said) == f"{STORE}while another program writes to it; end that and run again"
    assert call("tracking", "ingest")[0] == 0


def test_a_store_on_a_full_disk(disk, empty, call):
    shutil.copy(empty, mlflow_store.database(disk.plan))
    disk.fill()
    code, said = call("tracking", "ingest")
    assert code == 2
    assert told(said) == f"{STORE}without space on its disk; free some and run again"
    disk.free()
    assert call("tracking", "ingest")[0] == 0
    scene = Scene(disk.plan)
    assert list(store_shows_the_records(scene)) == []
    assert scene.notes == []


def test_a_store_on_a_read_only_disk(disk, empty, call):
    shutil.copy(empty, mlflow_store.database(disk.plan))
    disk.read_only()
    code, said = call("tracking", "ingest")
    assert code == 2
    assert "Read-only file system" in told(said) or "where it cannot be written" in told(said)
