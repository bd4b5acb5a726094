"""An MLflow server that is slow, or dies in the middle, or has PostgreSQL behind it and eight ingests before it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import postgres
import pytest
from mlflow_server import Server
from mlflow_warnings import IGNORED

from structgrad.errors import UserError
from structgrad.repro.planning.paths import project_root
from structgrad.repro.tracking import ingestion, mlflow_store

pytestmark = [pytest.mark.faults, IGNORED]
INGESTS = 8


def behind(plan, address):
    return replace(plan, config={**plan.config, "tracking": address})


def shown(plan):
    """What every run says: the record that it stands for, once, and the digest of all that it shows."""
    runs = mlflow_store.runs_of(mlflow_store.connect(mlflow_store.address(plan)), plan, list(plan.experiments))
    return sorted((run.data.tags[mlflow_store.FILE], run.data.tags[mlflow_store.VIEW], run.info.status) for run in runs)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A client that asks once."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return monkeypatch


@pytest.fixture
def server(tmp_path, empty) -> Iterator[Server]:
    """A server with SQLite behind it."""
    store = tmp_path / "server.db"
    store.write_bytes(empty.read_bytes())
    made = Server(tmp_path, f"sqlite:///{store}")
    made.start()
    yield made
    made.stop()


def test_a_server_that_takes_the_question_and_says_nothing(finished, impatient):
    impatient.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match=f"^the MLflow server at {address} does not answer") as raised:
            ingestion.ingest(behind(finished, address))
    assert "\n" not in str(raised.value)


def test_a_server_that_dies_in_the_middle(ready, server, impatient):
    ingestion.ingest(ready)
    remote, add_run = behind(ready, server.address), ingestion.add_run

    def dying(*arguments):
        add_run(*arguments)
        server.stop(signal.SIGKILL)

    with impatient.context() as once:
        once.setattr(ingestion, "add_run", dying)
        with pytest.raises(UserError, match="does not answer"):
            ingestion.ingest(remote)
    server.start()
    assert ingestion.ingest(remote) == ingestion.Ingested(added=1, replaced=0, kept=1, deleted=0)
    assert shown(remote) == shown(ready)


def test_eight_ingests_at_once_with_postgresql_behind_the_server(ready, options, tmp_path):
    ingestion.ingest(ready)
    with postgres.database() as store:
        server = Server(tmp_path, store, workers=2)
        server.start()
        try:
            words = [sys.executable, "-m", "structgrad", "tracking", "ingest", "--json", "--scale", "paper", *options]
            words += ["--set", f"tracking={server.address}"]
            variables = os.environ | {"STRUCTGRAD_ROOT": str(project_root())}
            ingests = [
                subprocess.Popen(words, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                for _ in range(INGESTS)
            ]
            told = [ingest.communicate() for ingest in ingests]
            assert [ingest.returncode for ingest in ingests] == [0] * INGESTS, told
            assert shown(behind(ready, server.address)) == shown(ready)
        finally:
            server.stop()
