"""The register against the repository's history: what it says of every claim, reading and margin is recomputed."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from structgrad.experiments import REGISTRY
from structgrad.repro.claims import claims
from structgrad.repro.claims.sides import arms_of, sides
from structgrad.repro.judging.register import PARTS, Entry, original_of, register

ROOT = Path(__file__).resolve().parents[4]
MEANING = (
    "experiment", "kind", "quantifier", "metric", "first", "second", "settings", "threshold", "share", "tolerance",
    "table", "lower_is_better",
)  # fmt: skip
# Run on the sources of a commit, whichever layout these have: claims lay in one file, and margins in one mapping; of
# several arms that answered a column the first one was its reading before there were main readings.
DUMP = r"""
import ast, json, sys
from pathlib import Path
root = Path(sys.argv[1])
sys.path.insert(0, str(root / "src"))
import yaml
found = {"claims": {}, "readings": {}, "margins": {}}
package = root / "src" / "structgrad"
for path in [package / "repro" / "claims.yaml", *package.glob("experiments/*/claims.yaml")]:
    for claim in yaml.safe_load(path.read_text()) if path.is_file() else ():
        found["claims"][claim["id"]] = claim
margins = {}
for path in package.glob("repro/**/verdicts.py"):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "MARGINS":
            margins = ast.literal_eval(node.value)
from structgrad.experiments import REGISTRY
for name, experiment in REGISTRY.items():
    for arm in experiment.arms:
        for setting in experiment.settings if arm.answers else ():
            if not hasattr(arm, "is_main") or arm.is_main(setting):
                found["readings"].setdefault(f"{name}/{arm.answers}", {}).setdefault(setting, arm.name)
    for metric in experiment.metrics:
        if metric.published:
            own = getattr(metric, "margin", None)
            found["margins"][f"{name}/{metric.name}"] = margins.get(metric.published) if own is None else own
print(json.dumps(found))
"""


class Made(NamedTuple):
    """A record in the history: the commit that added it first, and when its training was done."""

    commit: str
    finished: str


def git(*arguments: str, feed: str | None = None) -> str:
    """What git says of the repository that these tests lie in."""
    mine = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, env=mine, input=feed, capture_output=True, text=True, check=True
    )
    return done.stdout


def has_history() -> bool:
    """Whether this is a repository of its own, with all of its commits."""
    try:
        return (ROOT / ".git").exists() and git("rev-parse", "--is-shallow-repository").strip() == "false"
    except (OSError, subprocess.CalledProcessError):
        return False


def meanings(commit: str, folder: Path) -> Mapping[str, Mapping[str, Any]]:
    """Every claim, reading and margin as the sources of a commit have them."""
    here = folder / commit
    packed = subprocess.run(["git", "archive", commit, "src"], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(here, filter="data")
    done = subprocess.run([sys.executable, "-c", DUMP, here], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def meaning(found: Mapping[str, Mapping[str, Any]], part: str, key: str) -> Any:
    """What decides, of one item; None where there is none."""
    item = found[part].get(key)
    return {field: item.get(field) for field in MEANING} if part == "claims" and item is not None else item


@cache
def records() -> Mapping[tuple[str, str, str], Sequence[Made]]:
    """Every record that was ever added, by experiment, folder of the setting and arm."""
    log = git("log", "--reverse", "--topo-order", "--no-renames", "--diff-filter=A", "--format=commit %H",
              "--name-only", "--", ":(glob)results/*/records/**/*.json")  # fmt: skip
    places, commit = [], ""
    for line in log.splitlines():
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
        elif line:
            places.append((commit, line))
    contents = git("cat-file", "--batch", feed="".join(f"{commit}:{path}\n" for commit, path in places))
    finished = [line.split('"finished": "')[1].split('"')[0] for line in contents.splitlines() if '"finished"' in line]
    assert len(finished) == len(places)
    made: dict[tuple[str, str, str], list[Made]] = {}
    for (commit, path), when in zip(places, finished, strict=True):
        *_, experiment, setting, name = Path(path).parts
        made.setdefault((experiment, setting, name.partition(".")[0]), []).append(Made(commit, when))
    return made


def cells_of(part: str, key: str) -> set[tuple[str, str, str]]:
    """The cells that an item speaks of, by experiment, folder of the setting and arm."""
    if part == "claims":
        claim = next(claim for claim in claims() if claim["id"] == key)
        named = [] if claim["experiment"] is None else sides(claim)
        return {
            (side["experiment"], setting.replace(" ", "_"), arm.name)
            for side in named
            for setting in claim["settings"]
            for arm in arms_of(side, setting, REGISTRY[side["experiment"]])
        }
    name, _, rest = key.partition("/")
    experiment = REGISTRY[name]
    arms = [arm.name for arm in experiment.arms if (arm.answers == rest if part == "readings" else arm.answers)]
    return {(name, setting.replace(" ", "_"), arm) for setting in experiment.settings for arm in arms}


def after_results(fixed: str, cells: set[tuple[str, str, str]]) -> bool:
    """Whether a record of the cells had been committed before the commit, or trained by then."""
    commit, when = git("log", "-1", "--format=%H %cI", fixed).split()
    made = [one for cell in cells for one in records().get(cell, ())]
    earlier = set(git("rev-list", commit).split()) - {commit}
    return any(one.commit in earlier or one.finished <= when for one in made)


ENTRIES = [(part, key, entry) for part in PARTS for key, entry in register()[part].items()]
needs_history = pytest.mark.skipif(not has_history(), reason="no history of commits here")


@pytest.fixture(scope="module")
def history(tmp_path_factory) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """The meanings at every commit that the register names, and at its parents."""
    fixed = {git("rev-parse", entry.fixed).strip() for _, _, entry in ENTRIES}
    parents = {parent for commit in fixed for parent in git("log", "-1", "--format=%P", commit).split()}
    commits, folder = sorted(fixed | parents), tmp_path_factory.mktemp("history")
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(commits, pool.map(lambda commit: meanings(commit, folder), commits), strict=True))


def present() -> dict[str, set[str]]:
    """What the register must hold: every claim, every printed column that arms answer, every metric with a margin."""
    experiments = REGISTRY.values()
    return {
        "claims": {claim["id"] for claim in claims()},
        "readings": {f"{e.name}/{arm.answers}" for e in experiments for arm in e.arms if arm.answers},
        "margins": {f"{e.name}/{metric.name}" for e in experiments for metric in e.metrics if metric.published},
    }


def test_everything_that_decides_is_entered_and_nothing_else():
    assert {part: set(entries) for part, entries in register().items()} == present()


def test_originals_are_arms_of_the_same_column():
    originals = {key: entry.original for key, entry in register()["readings"].items() if entry.original}
    assert originals["berthet_1/Blackbox loss"] == "blackbox"
    for key, name in originals.items():
        experiment, _, column = key.partition("/")
        assert REGISTRY[experiment].arm(name or "").answers == column
        assert register()["readings"][key].after_results
    blackbox = REGISTRY["berthet_1"].arm("blackbox_mirrored")
    original = original_of(REGISTRY["berthet_1"], "wine", blackbox)
    assert original is not None
    assert original.name == "blackbox"
    assert original_of(REGISTRY["berthet_1"], "wine", original) is None
    assert original_of(REGISTRY["berthet_1"], "wine", REGISTRY["berthet_1"].arm("squared")) is None


def test_words():
    assert Entry("0c5fa69").words == "fixed in 0c5fa69, before results"
    assert Entry("0c5fa69", after_results=True).words == "fixed in 0c5fa69, after results"


@needs_history
def test_the_commits_are_behind_us():
    head = set(git("rev-list", "HEAD").split())
    assert {entry.fixed for _, _, entry in ENTRIES if git("rev-parse", entry.fixed).strip() not in head} == set()


@needs_history
def test_each_got_its_present_meaning_in_its_commit(history):
    """It is in the commit's tree, and in none of its parents'."""
    wrong, now = [], _now()
    for part, key, entry in ENTRIES:
        commit = git("rev-parse", entry.fixed).strip()
        parents = git("log", "-1", "--format=%P", commit).split()
        then, before = meaning(history[commit], part, key), [meaning(history[p], part, key) for p in parents]
        if then != meaning(now, part, key) or then in before:
            wrong.append((part, key, entry.fixed))
    assert wrong == []


@needs_history
def test_the_mark_follows_from_the_records():
    marked = {(part, key): entry.after_results for part, key, entry in ENTRIES}
    follows = {(part, key): after_results(entry.fixed, cells_of(part, key)) for part, key, entry in ENTRIES}
    assert {place: mark for place, mark in follows.items() if marked[place] != mark} == {}


@needs_history
def test_an_original_answered_first(history):
    """Somewhere before the commit the column was answered by the arm that the register names."""
    for key, entry in register()["readings"].items():
        if entry.original is None:
            continue
        experiment, _, column = key.partition("/")
        seen = {name for found in history.values() for name in found["readings"].get(key, {}).values()}
        assert entry.original in seen, (experiment, column)


def _now() -> Mapping[str, Mapping[str, Any]]:
    """The meanings that are read at present, as far as the history dumps them."""
    done = subprocess.run([sys.executable, "-c", DUMP, ROOT], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
