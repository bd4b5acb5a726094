"""Every way of tampering in the catalogue, tried by every attacker: each is found and named."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tampering import CATALOGUE, EDITS, MENDS, REBUILDS, RECORD, REPLAY, STORE, after, page

from structgrad.files import sha256
from structgrad.repro import audit
from structgrad.repro.audit import derived, origins, studies
from structgrad.repro.claims import write_claims
from structgrad.repro.evidence import records
from structgrad.repro.figures.files import write_figures
from structgrad.repro.judging.cells import collect_all
from structgrad.repro.planning.paths import project_root, results
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.planning.resolve import digester
from structgrad.repro.report import manifest
from structgrad.repro.report.page import write_report
from structgrad.repro.tables.files import write_tables
from structgrad.training.seeds import seed_for

pytestmark = pytest.mark.faults

# What compares derived files with the records believes these, so it is silent for one who has rebuilt them all.
BELIEVING = {derived.__name__, studies.__name__}
MOVED = ("what lies in a file's place", "files too many", "files too few")
FINISHED = {"experiments": ["indelman_1a"], "settings": ["d=5"], "arms": ["direct", "no_solver"], "replicas": 3}
TRIED = [(mutation, who) for mutation in CATALOGUE for who in mutation.attackers]


@pytest.fixture(scope="module")
def tree(_finished, tmp_path_factory, fabricate, sorted_report):
    """The plan of a finished project in a repository of two commits, whose records name the first.

    One arm has a second record beside it, which no table takes.
    """
    root = tmp_path_factory.mktemp("tampered") / "project"
    shutil.copytree(_finished, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRUCTGRAD_ROOT", str(root))
        plan = load_plan("paper", FINISHED)
        _second(plan, fabricate, sorted_report)
        _commit(root, plan)
        yield plan


def _second(plan, fabricate, sorted_report):
    shard, part = plan.shard("indelman_1a/d=5/direct/3-5"), plan.experiments["indelman_1a"]
    axes = {"data": None, "noise": "direct"}
    seeds = {role: [seed_for("indelman_1a", "d=5", axis, n, role) for n in (3, 4, 5)] for role, axis in axes.items()}
    digest = digester(part.experiment)(part.parameters_for(shard), "d=5", seeds["data"])
    reports = [sorted_report(1, 98, wrong=0.4)] * 3
    made = fabricate(plan, shard, reports)["provenance"] | {"data_digest": digest}
    fabricate(plan, shard, reports, changes={"seeds": seeds, "provenance": made})


def _commit(root, plan):
    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True, text=True).stdout

    git("init", "-q", "-b", "main")
    (root / origins.LOCK).write_text("torch==2.11.0 \\\n    --hash=sha256:0\n", encoding="utf-8")
    git("add", "config.yaml", origins.LOCK)
    git("commit", "-q", "-m", "Sources")
    commit, lock = git("rev-parse", "HEAD").strip(), sha256(root / origins.LOCK)
    for path in (results("paper") / "records").rglob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        record["provenance"] |= {"git_commit": commit, "lock_digest": lock}
        record["run"] |= {"started": after(-30), "finished": after(40)}
        records.save(record, path)
    rebuild(plan)
    git("add", "results")
    git("commit", "-q", "-m", "Results")


def rebuild(plan):
    """All that is derived from the records, the manifest last."""
    cells = collect_all(plan)
    for write in (write_tables, write_figures, write_claims, write_report):
        write(plan, cells)


@pytest.fixture(scope="module")
def whole(tree):
    """The scale without a selection, which takes long to read and depends on what lies there, not on what it says."""
    return audit.Scene(tree).whole


@pytest.fixture
def folder(tree, tmp_path):
    """The results, which are put back afterwards."""
    folder, pristine = results("paper"), tmp_path / "pristine"
    shutil.copytree(folder, pristine)
    yield folder
    shutil.rmtree(folder)
    (project_root() / "aside").unlink(missing_ok=True)
    shutil.copytree(pristine, folder)


def findings(plan, who, whole=None):
    """All findings, one by one; of one who rebuilds, beside what no longer tells anything, whether it could be done."""
    scene = audit.Scene(plan)
    if whole is not None:
        vars(scene)["whole"] = whole
    for check in audit.CHECKS:
        if who != REBUILDS or check.__module__ not in BELIEVING:
            yield from map(str, check(scene))
    if who == REBUILDS:
        try:
            collect_all(plan)
        except records.RecordError as error:
            yield f"cannot be rebuilt: {error}"


def change(path, how, sealed):
    """Change a record, and seal what it says then, whether or not it follows the schema."""
    record = json.loads(path.read_text(encoding="utf-8"))
    how(record)
    if sealed:
        record["digest"] = records.digest(record)
    path.write_text(records._layout(record), encoding="utf-8")


@pytest.mark.parametrize(
    ("mutation", "who"), TRIED, ids=[f"{mutation.kind}-{mutation.said}-{who}" for mutation, who in TRIED]
)
def test_it_is_found_and_named(tree, whole, folder, mutation, who):
    if mutation.record:
        change(folder / RECORD, mutation.record, sealed=who == REBUILDS)
    else:
        mutation.files(folder)
    if who != EDITS:
        manifest.write("paper")
    said = mutation.said
    if mutation.record and who != REBUILDS:  # digests tell, whatever it is
        said = {EDITS: f"{RECORD}: changed", MENDS: RECORD}[who]
    told = []
    for finding in findings(tree, who, None if mutation.kind in MOVED else whole):
        told.append(finding)
        if said in finding:
            return
    pytest.fail(f"nothing says {said!r}: {told}")


def test_nothing_is_found_where_nothing_was_done(tree, folder):
    assert list(findings(tree, EDITS)) == []


@pytest.mark.parametrize("name", REPLAY)
def test_only_training_it_again_tells(tree, folder, name):
    """Everything is rebuilt for real, and every check is silent."""
    honest = (folder / RECORD).read_bytes()
    change(folder / RECORD, REPLAY[name], sealed=True)
    assert (folder / RECORD).read_bytes() != honest
    rebuild(tree)
    assert list(findings(tree, EDITS)) == []


def test_the_page_counts_them():
    text = (Path(__file__).parents[4] / "docs/trust.md").read_text(encoding="utf-8")
    assert "\n".join(page()) in text
    assert all(name in text for name in REPLAY)
    assert f"{len(STORE)} ways of the MLflow store" in text
