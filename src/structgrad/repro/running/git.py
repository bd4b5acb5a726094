"""What git knows of this project: of the repository whose top folder is the project's root, and of no other.

An archive unpacked inside another repository is not one of that repository's commits, and the variables that git sets
for its hooks (GIT_DIR and others) name whichever repository the hook runs in; both are ignored.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

from structgrad.repro.planning.paths import project_root

# What `git rev-parse --local-env-vars` names: they would point git at another repository.
ELSEWHERE = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_REPLACE_REF_BASE",
    "GIT_NO_REPLACE_OBJECTS", "GIT_IMPLICIT_WORK_TREE", "GIT_CONFIG",
)  # fmt: skip


class State(NamedTuple):
    """The commit checked out, whether tracked files differ from it, and where there is none, why."""

    commit: str | None
    dirty: bool | None
    why: str = ""


class NoRepositoryError(Exception):
    """The project's root is not the top of a repository that can be read; the text says why."""


def state() -> State:
    """The project's commit; results are what jobs write, and do not make the sources dirty."""
    try:
        commit = ask("rev-parse", "--verify", "HEAD").decode().strip()
        changed = ask("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
    except NoRepositoryError as error:
        return State(None, None, str(error))
    return State(commit, bool(changed))


def ask(*arguments: str) -> bytes:
    """What a git command says in the project's own repository. It only reads.

    Raises:
        NoRepositoryError: there is none, or git fails.
    """
    root = project_root()
    top = Path(os.fsdecode(_run(root, "rev-parse", "--show-toplevel").removesuffix(b"\n")))
    if not top.samefile(root):
        raise NoRepositoryError(f"not a git checkout of its own, but a folder in the repository {top}")
    return _run(root, *arguments)


def history() -> tuple[set[str], bool]:
    """The commits of this history, and whether it is a shallow one.

    Raises:
        NoRepositoryError: there is none.
    """
    known = set(ask("rev-list", "HEAD").decode().split())
    return known, ask("rev-parse", "--is-shallow-repository").decode().strip() == "true"


def _run(root: Path, *arguments: str) -> bytes:
    # Who works here trusts this checkout already, whoever owns it: its code is what is run. Nothing else is: no hook,
    # no monitor, and no lock is taken that would disturb a job beside this one.
    trusted = ["-c", f"safe.directory={root}", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}"]
    environment = {key: value for key, value in os.environ.items() if key not in ELSEWHERE}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *trusted, "-C", str(root), *arguments], env=environment, capture_output=True, check=True
        )
    except FileNotFoundError as error:
        raise NoRepositoryError("git is not installed") from error
    except OSError as error:
        raise NoRepositoryError(f"git cannot be run: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        raise NoRepositoryError(_reason(error.stderr.decode(errors="replace"))) from error
    return done.stdout


def _reason(stderr: str) -> str:
    if "not a git repository" in stderr:
        return "not a git checkout"
    if "Needed a single revision" in stderr:
        return "a git repository without a commit"
    first = next(iter(stderr.splitlines()), "no reason given")
    return f"git says: {first.removeprefix('fatal: ')}"
