"""Numbers that were made up and sealed anew contradict what hangs together with them."""

from __future__ import annotations

import json
import subprocess

import pytest
from tampering import after, put

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
