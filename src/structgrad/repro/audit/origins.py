"""Checks of where each record says that it comes from: its command, times and machine, and what git knows of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from structgrad.repro.audit.scene import Finding, Scene
from structgrad.repro.planning.paths import project_root
from structgrad.repro.running import git
from structgrad.repro.running.digests import HERE
from structgrad.repro.running.provenance import LIBRARIES
from structgrad.repro.running.run import trainer_digest

CLOCKS = timedelta(hours=1)  # what the clocks of two machines may differ by
ROUNDED = 3.0  # seconds: times are cut to whole ones
LOCK = "requirements.lock"
PINNED = re.compile(r"^([a-z0-9-]+)==([^\s;\\]+)", re.MULTILINE)


def runs_fit_identities(scene: Scene) -> Iterator[Finding]:
    """every record's command is that of its identity, its times are possible, its device is one of its machine"""
    for path, record in scene.sound.items():
        run, command = record["run"], f"structgrad run {record['id']} --scale {record['scale']}"
        if record["provenance"]["command"] != command:
            yield Finding(scene.name(path), f"provenance.command: {record['provenance']['command']!r}, not {command!r}")
        yield from (Finding(scene.name(path), f"run.{fault}") for fault in _times(run))
        if run["device"].startswith("cuda") != ("gpu" in run["hardware"]):
            told = (
                f"run.device: {run['device']}, on a machine {'with' if 'gpu' in run['hardware'] else 'without'} a GPU"
            )
            yield Finding(scene.name(path), told)


def commits_are_in_history(scene: Scene) -> Iterator[Finding]:
    """every record's commit is in this history, is older than the record, and locks the libraries that it names"""
    try:
        known, shallow = git.history()
    except git.NoRepositoryError as error:
        if scene.sound:
            scene.notes.append(Finding("", f"the commits of records could not be compared: {error}"))
        return
    absent = 0
    for path, record in scene.sound.items():
        made = record["provenance"]
        if made["git_commit"] is None:
            absent += 1
        elif made["git_commit"] in known:
            yield from (Finding(scene.name(path), fault) for fault in _commit(record))
        elif shallow:
            absent += 1
        else:
            yield Finding(scene.name(path), f"provenance.git_commit: {made['git_commit'][:12]} is not in this history")
    if absent:
        scene.notes.append(Finding("", f"{absent} records name no commit of this (perhaps shallow) history"))


def sources_fit_commits(scene: Scene) -> Iterator[Finding]:
    """one commit has one digest of an experiment's sources, today's where they have not changed since"""
    made: dict[tuple[str, str], dict[str, list[Path]]] = {}
    for path, record in scene.sound.items():
        of = record["provenance"]
        if of["git_commit"] is not None and not of["git_dirty"]:
            own = made.setdefault((record["experiment"], of["git_commit"]), {})
            own.setdefault(of["source_digest"], []).append(path)
    for (experiment, commit), own in made.items():
        right = max(own, key=lambda digest: len(own[digest]))
        others = scene.name(own[right][0])
        if _is_todays(commit):
            right, others = trainer_digest(scene.whole, experiment), "the same sources today"
        for digest, path in ((digest, path) for digest, paths in own.items() for path in paths):
            if digest != right:
                told = f"provenance.source_digest: {digest[:12]} in {commit[:12]}, where {others} has {right[:12]}"
                yield Finding(scene.name(path), told)


def no_record_was_taken_out(scene: Scene) -> Iterator[Finding]:
    """every record, and every file of data digests, that this history ever had is still there"""
    folder = scene.folder.relative_to(project_root())
    folders = [(folder / part).as_posix() for part in ("records", "data")]
    words = ("log", "-z", "--no-renames", "--diff-filter=D", "--name-only", "--format=", "HEAD", "--")
    try:
        now = git.ask("ls-tree", "-r", "-z", "--name-only", "HEAD", "--", *folders)
        gone = git.ask(*words, *folders)
    except git.NoRepositoryError:  # a note of another check
        return
    for name in sorted({part for part in (now + b"\0" + gone).decode().split("\0") if part.endswith(".json")}):
        if not (project_root() / name).is_file():
            yield Finding(name, "gone: this history has it")


def _times(run: Mapping[str, Any]) -> Iterator[str]:
    try:
        started, finished = (datetime.fromisoformat(run[name]) for name in ("started", "finished"))
        lasted = (finished - started).total_seconds()
    except (ValueError, TypeError):  # no time, or one of the two without a zone
        yield f"started and finished: {run['started']!r} and {run['finished']!r} are no two times"
        return
    if started.tzinfo is None:
        yield f"started: {run['started']!r} has no time zone"
    elif finished > datetime.now(UTC) + CLOCKS:
        yield f"finished: {run['finished']} is in the future"
    if lasted < 0:
        yield f"finished: {run['finished']}, before it started"
    elif not run["resumed"] and run["seconds"] > lasted + ROUNDED:
        yield f"seconds: {run['seconds']:g}, but {lasted:g} passed from its start to its end"


def _commit(record: Mapping[str, Any]) -> Iterator[str]:
    made, commit = record["provenance"], record["provenance"]["git_commit"]
    committed = datetime.fromtimestamp(int(_asked("show", "-s", "--format=%ct", commit)), UTC)
    try:
        started = datetime.fromisoformat(record["run"]["started"])
        if started.tzinfo and started < committed - CLOCKS:
            yield f"run.started: {record['run']['started']}, before its commit was made ({committed.isoformat()})"
    except ValueError:
        pass  # a finding of another check
    if made["git_dirty"]:
        return
    lock = _asked("show", f"{commit}:./{LOCK}")
    if made["lock_digest"] != hashlib.sha256(lock).hexdigest():
        yield f"provenance.lock_digest: not that of {LOCK} in {commit[:12]}"
    pinned = PINNED.findall(lock.decode())
    for name in LIBRARIES:
        version = made["libraries"].get(name, "missing")
        locked = {_public(of) for other, of in pinned if other == name}  # one for each of several Pythons
        if locked and _public(version) not in locked:
            yield f"provenance.libraries: {name} {version}, but {LOCK} in {commit[:12]} has {' or '.join(locked)}"


@cache
def _is_todays(commit: str) -> bool:
    """Whether the package's sources, as they lie here, are those of a commit."""
    if not HERE.is_relative_to(project_root()):  # another checkout's are at work
        return False
    try:
        git.ask("rev-parse", "--verify", f"{commit}:./src")
        return not git.ask("diff", "--name-only", commit, "--", "./src")
    except git.NoRepositoryError:  # no such commit, which is a finding of another check
        return False


def _public(version: str) -> str:
    """Without what a build adds, as in ``2.11.0+cpu``."""
    return version.partition("+")[0]


@cache
def _asked(*arguments: str) -> bytes:
    return git.ask(*arguments)
