"""MLflow fed from records: on SQLite, and against a real server that the test starts."""

from __future__ import annotations

import fcntl
import json
import shutil
import socket
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from mlflow_server import STARTUP, Server
from mlflow_warnings import IGNORED
from tampering import STORE

from structgrad.errors import UserError
from structgrad.repro.audit import Scene
from structgrad.repro.audit.store import store_shows_the_records
from structgrad.repro.commands.tracking import command
from structgrad.repro.evidence.records import RecordError, load, save
from structgrad.repro.judging.cells import collect
from structgrad.repro.planning.paths import results
from structgrad.repro.tracking import ingestion as tracking
from structgrad.repro.tracking import mlflow_store
from structgrad.repro.tracking.trackable import metrics_of

pytestmark = IGNORED


def client(plan):
    mlflow_store.prepare()
    from mlflow import MlflowClient

    return MlflowClient(mlflow_store.address(plan), registry_uri=mlflow_store.address(plan))


def runs(plan):
    """Every run as plain data, by record, without what MLflow draws at random."""
    found = {}
    for run in mlflow_store.runs_of(client(plan), plan, list(plan.experiments)):
        history = {
            key: [(metric.step, metric.value) for metric in client(plan).get_metric_history(run.info.run_id, key)]
            for key in run.data.metrics
        }
        identity = run.data.tags["structgrad.record"]
        assert identity not in found
        found[identity] = {
            "name": run.info.run_name,
            "times": (run.info.start_time, run.info.end_time),
            "status": run.info.status,
            "tags": run.data.tags,
            "params": run.data.params,
            "metrics": history,
        }
    return found


def test_one_run_a_record(ready):
    assert tracking.ingest(ready) == tracking.Ingested(added=2, replaced=0, kept=0, deleted=0)
    shown = runs(ready)
    assert sorted(shown) == sorted(shard.id for shard in ready.shards)
    run, record = shown["indelman_1a/d=5/direct/0-2"], load(ready.shards[0].path)
    assert run["status"] == "FINISHED"
    start = datetime(2025, 1, 1, tzinfo=UTC).timestamp() * 1000
    assert run["times"] == (start, start + 60_000)
    assert run["tags"]["structgrad.digest"] == record["digest"]
    assert run["tags"]["structgrad.source"] == record["provenance"]["source_digest"]
    assert run["tags"]["mlflow.source.git.commit"] == "0" * 40
    assert (run["params"]["arm"], run["params"]["epsilon"], run["params"]["replicas.count"]) == ("direct", "-12.0", "3")
    metrics = run["metrics"]
    assert metrics["record/percent_sequences_perfect"] == [(0, pytest.approx(200 / 3))]
    assert metrics["replica/percent_sequences_perfect"] == [(0, 100), (1, 0), (2, 100)]
    assert metrics["replica/prop_wrong_mean"] == [(0, 0), (1, pytest.approx(40)), (2, 0)]
    assert metrics["history/loss"] == list(zip((1, 57), record["history"]["loss"], strict=True))
    assert metrics["replica/epochs"] == [(0, 57), (1, 57), (2, 57)]
    assert metrics["seconds"] == [(0, 60)]


def test_a_run_says_where_in_the_paper_it_is_and_what_came_out(ready):
    tracking.ingest(ready)
    run = runs(ready)["indelman_1a/d=5/direct/0-2"]
    assert run["name"] == "Table 1a | d=5 | Direct | replicas 0-2"
    place = {key: run["tags"][key] for key in ("paper", "table", "row", "column")}
    assert place == {"paper": "indelman", "table": "Table 1a", "row": "d=5", "column": "Direct"}
    name = "percent_sequences_perfect"
    (cell,) = (c for c in collect(ready, "indelman_1a") if c.id == f"indelman/1a/d=5/Direct/{name}")
    assert cell.estimate is not None
    assert cell.published is not None
    tags = {key: run["tags"].get(f"{key}.{name}") for key in ("cell", "ours", "published", "verdict", "answer")}
    verdict = cell.judgement.verdict
    assert tags == {"cell": cell.id, "ours": "66.7", "published": "98.5", "verdict": verdict, "answer": "yes"}
    assert run["tags"][f"reason.{name}"] == cell.judgement.reason
    metrics = run["metrics"]
    assert metrics[f"cell/{name}"] == [(0, cell.estimate.value)]
    assert [metrics[f"cell/{name}.{end}"][0][1] for end in ("low", "high")] == [cell.estimate.low, cell.estimate.high]
    assert metrics[f"cell/{name}.published"] == [(0, 98.5)]
    assert name not in metrics  # nothing that a later step of the same name would hide
    assert "answer.prop_wrong_mean_100" not in run["tags"]


def test_the_record_is_the_artifact_and_goes_with_its_run(ready):
    tracking.ingest(ready)
    folder = mlflow_store.artifacts(ready) / "indelman_1a"
    stored = sorted(folder.rglob("*.json"))
    assert sorted(path.read_bytes() for path in stored) == sorted(s.path.read_bytes() for s in ready.shards)
    (first, *_) = mlflow_store.runs_of(client(ready), ready, ["indelman_1a"])
    (listed,) = client(ready).list_artifacts(first.info.run_id, "record")
    assert (folder / first.info.run_id / "artifacts" / listed.path).is_file()
    record = json.loads(ready.shards[0].path.read_text(encoding="utf-8"))
    record["results"][1]["metrics"]["percent_sequences_perfect"]["successes"] = 1
    save(record, ready.shards[0].path)
    tracking.ingest(ready)
    assert len(list(folder.glob("*"))) == 2
    tracking.rebuild(ready)
    assert len(list(folder.glob("*"))) == 2


def test_an_experiment_is_described(ready):
    tracking.ingest(ready)

    def experiment():
        known = client(ready).get_experiment_by_name("indelman_1a")
        assert known is not None
        return known

    note = experiment().tags["mlflow.note.content"]
    assert "Table 1a: Learning to sort" in note
    assert "`percent_sequences_perfect`: sequences sorted perfectly (%)" in note
    identity = experiment().experiment_id
    client(ready).set_experiment_tag(identity, "mlflow.note.content", "of an older version")
    (run, *_) = mlflow_store.runs_of(client(ready), ready, ["indelman_1a"])
    client(ready).set_tag(run.info.run_id, "structgrad.view", "of another verdict")
    assert tracking.ingest(ready) == tracking.Ingested(added=0, replaced=1, kept=1, deleted=0)
    assert experiment().tags["mlflow.note.content"] == note


def test_a_search_counts_steps(searched):
    experiment = searched.experiments["fake"].experiment
    shard = next(shard for shard in searched.shards if shard.arm == "tree" and shard.first == 2)
    found = list(metrics_of(load(shard.path), experiment))
    assert ("replica/steps", 400.0, 2) in found
    assert ("replica/validation", -1350.0, 2) in found
    assert [(value, step) for name, value, step in found if name == "history/elbo"] == [(-2700.0, 200), (-1350.0, 400)]
    assert "history/step" not in {name for name, _, _ in found}


def test_again_adds_nothing_and_a_rebuild_gives_the_same(finished):
    tracking.ingest(finished)
    first = runs(finished)
    assert tracking.ingest(finished) == tracking.Ingested(added=0, replaced=0, kept=2, deleted=0)
    assert runs(finished) == first
    mlflow_store.database(finished).unlink()
    assert tracking.rebuild(finished) == tracking.Ingested(added=2, replaced=0, kept=0, deleted=0)
    assert runs(finished) == first
    assert {path.name for path in results("paper").glob("*.tmp")} == set()


def test_what_changes_or_goes_changes_or_goes_here(ready):
    tracking.ingest(ready)
    path, gone = (shard.path for shard in ready.shards)
    record = json.loads(path.read_text(encoding="utf-8"))
    record["results"][1]["metrics"]["percent_sequences_perfect"]["successes"] = 1
    save(record, path)
    gone.unlink()
    assert tracking.status(ready)["current"] == 0
    assert tracking.ingest(ready) == tracking.Ingested(added=0, replaced=1, kept=0, deleted=1)
    (run,) = runs(ready).values()
    assert run["metrics"]["record/percent_sequences_perfect"] == [(0, 100)]


def test_a_run_left_half_written_is_done_again(ready):
    tracking.ingest(ready)
    whole = runs(ready)
    half = mlflow_store.runs_of(client(ready), ready, ["indelman_1a"])[0].info.run_id
    client(ready).update_run(half, status="RUNNING")
    assert tracking.ingest(ready) == tracking.Ingested(added=0, replaced=1, kept=1, deleted=0)
    assert runs(ready) == whole


def test_two_ingests_take_turns(ready):
    lock = results("paper") / "logs" / "tracking.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        second = threading.Thread(target=tracking.ingest, args=(ready,))
        second.start()
        second.join(0.3)
        assert second.is_alive()
        assert tracking.status(ready)["runs"] == 0
    second.join(STARTUP)
    assert tracking.status(ready)["runs"] == 2


def test_a_damaged_record_is_not_stored(ready):
    path = ready.shards[0].path
    path.write_text(path.read_text(encoding="utf-8").replace('"successes": 1', '"successes": 0', 1), encoding="utf-8")
    with pytest.raises(RecordError, match="digest"):
        tracking.ingest(ready)


def test_a_damaged_store_says_how_to_mend_it(finished):
    mlflow_store.database(finished).write_bytes(b"not a database" * 100)
    with pytest.raises(UserError, match=r"results/paper/mlflow.db cannot be used .* rebuild"):
        tracking.ingest(finished)


def audited(plan):
    scene = Scene(plan)
    return [str(finding) for finding in store_shows_the_records(scene)], [str(note) for note in scene.notes]


def test_the_audit_looks_at_the_store(ready):
    assert audited(ready) == ([], ["results/paper/mlflow.db: 2 records are not shown (structgrad tracking ingest)"])
    tracking.ingest(ready)
    assert audited(ready) == ([], [])
    mlflow_store.database(ready).unlink()
    assert audited(ready) == ([], [])


@pytest.mark.parametrize(
    ("change", "said"),
    STORE,
)
def test_the_audit_finds_what_was_changed_in_the_store(ready, change, said):
    tracking.ingest(ready)
    with closing(sqlite3.connect(mlflow_store.database(ready))) as store:
        store.execute(change)
        store.commit()
    assert any(said in finding for finding in audited(ready)[0])


def test_the_audit_finds_rubbish_in_the_stores_place(ready):
    mlflow_store.database(ready).write_bytes(b"not a database" * 100)
    (finding,) = audited(ready)[0]
    assert "results/paper/mlflow.db: not a store of MLflow's" in finding


def test_a_server_that_is_not_there(finished, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        away = replace(finished, config={**finished.config, "tracking": address})
        with pytest.raises(UserError, match=f"{address} does not answer") as raised:
            tracking.ingest(away)
    assert "\n" not in str(raised.value)


def test_the_command_line(ready, options):
    def call(*words):
        told = CliRunner().invoke(command, [*words, *options])
        assert told.exit_code == 0, told.output
        return told.output

    assert "2 added" in call("ingest")
    assert json.loads(call("status", "--json"))["current"] == 2
    assert json.loads(call("ingest", "--json"))["kept"] == 2
    assert "2 of 2 records" in call("status")


def test_the_pages_need_a_store_and_a_free_port(finished, options):
    told = CliRunner().invoke(command, ["ui", *options])
    assert isinstance(told.exception, UserError)
    assert "tracking ingest" in str(told.exception)
    mlflow_store.database(finished).touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        told = CliRunner().invoke(command, ["ui", "--port", str(taken.getsockname()[1]), *options])
    assert isinstance(told.exception, UserError)
    assert "is taken" in str(told.exception)


@pytest.fixture
def server(tmp_path, empty):
    """The address of an MLflow server on this machine, with a store of its own."""
    shutil.copy(empty, tmp_path / "server.db")
    made = Server(tmp_path, f"sqlite:///{tmp_path}/server.db")
    made.start()
    yield made.address
    made.stop()


def test_a_real_server(ready, server):
    local = ready
    tracking.ingest(local)
    remote = replace(ready, config={**ready.config, "tracking": server})
    assert tracking.ingest(remote) == tracking.Ingested(added=2, replaced=0, kept=0, deleted=0)
    assert tracking.ingest(remote) == tracking.Ingested(added=0, replaced=0, kept=2, deleted=0)
    assert runs(remote) == runs(local)
    assert tracking.rebuild(remote) == tracking.Ingested(added=2, replaced=0, kept=0, deleted=0)
    assert runs(remote) == runs(local)


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%20b", "a b", "a'b{c}[d]", "é;x&y=1"])
def test_the_database_lies_in_the_project_whatever_its_path(tmp_path, monkeypatch, name, empty):
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(empty, folder / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    connected = mlflow_store.connect(mlflow_store.sqlite(folder / "mlflow.db"))
    connected.create_experiment("one", artifact_location=folder.as_uri())
    with sqlite3.connect(folder / "mlflow.db") as database:
        assert ("one",) in database.execute("select name from experiments").fetchall()
    database.close()
    assert [path.name for path in tmp_path.iterdir()] == [name]
