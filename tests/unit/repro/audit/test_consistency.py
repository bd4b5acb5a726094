"""Numbers that were made up and sealed anew contradict what hangs together with them."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from structgrad.experiments import REGISTRY
from structgrad.repro import audit
from structgrad.repro.audit import consistency, origins
from structgrad.repro.evidence.records import save
from structgrad.repro.planning.paths import project_root, results
from structgrad.training.search import draw

RECORD = "records/indelman_1a/d=5/direct.0-2.json"


def reseal(plan, change, name=RECORD):
    """Change a record and give it the digest of its new content, as one would who knows how."""
    path = results(plan.scale) / name
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    save(record, path)


def found(check, plan):
    return [str(finding) for finding in check(audit.Scene(plan))]


def put(*path):
    """Set the value at a path of keys."""
    *way, last, value = path

    def change(record):
        for key in way:
            record = record[key]
        if value is None:
            del record[last]
        else:
            record[last] = value

    return change


PERFECT, WRONG, HUNDRED = "percent_sequences_perfect", "prop_wrong_mean", "percent_sequences_perfect_100"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("results", 0, "metrics", PERFECT, "successes", 0), "leaves none wrong, but"),
        (put("results", 2, "metrics", WRONG, "sum", 0.4), "a sum of 0.4 is impossible with 1 of 1"),
        (put("results", 0, "metrics", HUNDRED, "trials", 200), "over 200 items, where extra_test_sequences is 100"),
        (put("results", 0, "metrics", PERFECT, {"successes": 2, "trials": 2}), "over 2 items, where test_sequences"),
        (put("results", 1, "metrics", HUNDRED, None), f"{HUNDRED} is there for some replicas and not for others"),
        (put("results", 1, "metrics", WRONG, {"successes": 0, "trials": 1}), "no mean"),
        (put("seeds", "noise", None), "seeds: not those of its arm's other records (noise)"),
    ],
)  # fmt: skip
def test_metrics_that_contradict_each_other(finished, fabricate, sorted_report, change, said):
    other = finished.shard("indelman_1a/d=5/direct/3-5")
    first = json.loads((results(finished.scale) / RECORD).read_text(encoding="utf-8"))
    fabricate(finished, other, [sorted_report(1, 100)] * 3, changes={"seeds": first["seeds"]})
    plan = finished.__class__(finished.scale, finished.config, finished.experiments, (*finished.shards, other))
    assert found(audit.metrics_are_whole, plan) == []
    reseal(plan, change)
    assert any(said in finding and RECORD in finding for finding in found(audit.metrics_are_whole, plan))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("results", 0, "epochs", 90), "history.epoch: ends at 57, the longest training at 90"),
        (put("results", 0, "epochs", 40), "history.active: 3 at epoch 57, where the results have another number"),
        (put("results", 0, "epochs", 5000), "replica 0: 5000 epochs, at most 2000 were allowed"),
        (put("results", 0, "stopped", "max_epochs"), "replica 0: stopped by max_epochs after 57 of 2000 epochs"),
        (put("results", 0, "stopped", "untrained"), "replica 0: untrained after 57 epochs"),
        (put("config", "patience", 57), "stopped by patience after 57 epochs, with a patience of 57"),
        (put("history", "loss", [0.5]), "history: its curves have different lengths"),
        (put("history", "epoch", [57.0, 57.0]), "history.epoch: does not grow"),
        (put("history", "active", [2.0, 3.0]), "history.active: 2 at epoch 1"),
        (put("history", "epoch", None), "history: has no epoch"),
    ],
)
def test_curves_that_do_not_fit(finished, change, said):
    assert found(audit.curves_fit_results, finished) == []
    reseal(finished, change)
    assert any(said in finding for finding in found(audit.curves_fit_results, finished))


def of_search(seed=7, value=-1000.0, at=500.0, curve=(-1200.0, -1000.0)):
    """What the check looks at of a trial of paulus 1."""
    experiment = REGISTRY["paulus_1"]
    config = {"search": {"learning_rate": [3e-4, 2e-3], "temperature": [0.3, 3.0]}, "searched": ["learning_rate"]}
    final = {**draw({"learning_rate": [3e-4, 2e-3]}, seed), "validation": value, "best_step": at}
    history = {"step": [250.0, 500.0], "active": [1.0, 1.0], "elbo": list(curve)}
    return experiment, {
        "config": config, "seeds": {"search": [seed]}, "history": history,
        "results": [{"replica": 0, "final": final}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("results", 0, "final", "learning_rate", 0.001), "final.learning_rate: 0.001, but its seed and box give"),
        (put("config", "search", "learning_rate", [1e-4, 2e-3]), "final.learning_rate"),
        (
            put("results", 0, "final", "validation", -900.0),
            "-900, but at step 500 the curve has -1000",
        ),
        (put("results", 0, "final", "validation", -1100.0), "-1100 on average, but the curve elbo reaches -1000"),
        (put("results", 0, "final", "best_step", 300.0), "at step 300 the curve has nothing"),
        (put("history", "elbo", [-1200.0, -800.0]), "but the curve elbo reaches -800"),
    ],
)
def test_a_selection_that_does_not_fit(change, said):
    experiment, record = of_search()
    assert list(consistency._selection(record, experiment)) == []
    change(record)
    assert any(said in fault for fault in consistency._selection(record, experiment))


def test_a_best_validation_before_the_first_step():
    experiment, record = of_search(value=-900.0, at=0.0)
    assert list(consistency._selection(record, experiment)) == []


def test_one_training_under_two_names(finished):
    assert found(audit.trainings_are_told_apart, finished) == []
    ours = json.loads((results(finished.scale) / RECORD).read_text(encoding="utf-8"))

    def steal(record):
        record["history"], record["results"] = ours["history"], ours["results"]

    other = "records/indelman_1a/d=5/no_solver.0-2.json"
    reseal(finished, steal, other)
    (finding,) = found(audit.trainings_are_told_apart, finished)
    assert finding.startswith(f"results/paper/{other}: the same curves and results as results/paper/{RECORD}")


def after(seconds):
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("provenance", "command", "structgrad run cheat"), "provenance.command: 'structgrad run cheat', not"),
        (put("run", "started", "2025-01-01T00:02:00Z"), "run.finished: 2025-01-01T00:01:00Z, before it started"),
        (put("run", "seconds", 600.0), "run.seconds: 600, but 60 passed"),
        (put("run", "finished", after(86400)), "is in the future"),
        (put("run", "finished", "yesterday"), "are no two times"),
        (put("run", "started", "2025-01-01T00:00:00"), "are no two times"),
        (put("run", "device", "cuda"), "run.device: cuda, on a machine without a GPU"),
        (put("run", "hardware", "gpu", "made up"), "run.device: cpu, on a machine with a GPU"),
    ],
)
def test_a_run_that_cannot_have_been(finished, change, said):
    assert found(audit.runs_fit_identities, finished) == []
    reseal(finished, change)
    assert any(said in finding for finding in found(audit.runs_fit_identities, finished))


# What git knows


@pytest.fixture
def repository(finished):
    """The finished project as a repository of two commits, whose records name the first."""
    project = project_root()

    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *identity, *words], cwd=project, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    origins._asked.cache_clear()
    git("init", "-q", "-b", "main")
    (project / origins.LOCK).write_text("torch==2.11.0 \\\n    --hash=sha256:0\n", encoding="utf-8")
    git("add", "config.yaml", origins.LOCK)
    git("commit", "-q", "-m", "Sources")
    digest = subprocess.run(["sha256sum", origins.LOCK], cwd=project, capture_output=True, text=True).stdout.split()[0]

    def made_here(record):
        record["provenance"] |= {"git_commit": git("rev-parse", "HEAD"), "lock_digest": digest}
        record["run"] |= {"started": after(-30), "finished": after(40)}

    for name in (RECORD, "records/indelman_1a/d=5/no_solver.0-2.json"):
        reseal(finished, made_here, name)
    git("add", "results")
    git("commit", "-q", "-m", "Results")
    return git


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("provenance", "git_commit", "0" * 40), "provenance.git_commit: 000000000000 is not in this history"),
        (put("provenance", "lock_digest", "0" * 64), "provenance.lock_digest: not that of requirements.lock"),
        (put("provenance", "libraries", "torch", "2.9.0"), "torch 2.9.0, but requirements.lock in"),
        (
            put("run", "started", "2025-01-01T00:00:00Z"),
            "2025-01-01T00:00:00Z, before its commit was made",
        ),
    ],
)
def test_a_record_that_this_history_cannot_have_made(finished, repository, change, said):
    assert found(audit.commits_are_in_history, finished) == []
    reseal(finished, change)
    assert any(said in finding for finding in found(audit.commits_are_in_history, finished))


def test_uncommitted_changes_may_have_another_lock(finished, repository):
    def change(record):
        record["provenance"] |= {"git_dirty": True, "lock_digest": "0" * 64}

    reseal(finished, change)
    assert found(audit.commits_are_in_history, finished) == []


def test_without_git_there_is_a_note(finished):
    scene = audit.Scene(finished)
    assert list(audit.commits_are_in_history(scene)) == []
    assert any("could not be compared" in str(note) for note in scene.notes)
    assert list(audit.no_record_was_taken_out(scene)) == []


@pytest.mark.parametrize("committed", [False, True])
def test_a_record_that_was_taken_out(finished, repository, committed):
    assert found(audit.no_record_was_taken_out, finished) == []
    (results(finished.scale) / RECORD).unlink()
    if committed:
        repository("add", "-A")
        repository("commit", "-q", "-m", "Tidy up")
    assert found(audit.no_record_was_taken_out, finished) == [f"results/paper/{RECORD}: gone: this history has it"]
