"""Where things lie: the project's root, and the results of a scale below it."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from structgrad.errors import UserError


def project_root() -> Path:
    """The nearest folder at or above the current one that holds ``workflow/scales`` (or $STRUCTGRAD_ROOT)."""
    named = os.environ.get("STRUCTGRAD_ROOT")
    return _root_above(Path.cwd() / named if named else Path.cwd())


@lru_cache
def _root_above(start: Path) -> Path:
    with suppress(OSError, RuntimeError):  # a name that is too long, a folder that may not be read, links in a ring
        for folder in (start, *start.resolve().parents):
            if (folder / "workflow" / "scales").is_dir():
                return folder.resolve()
    raise UserError(f"no structgrad project at or above {start}; run from a checkout, or set STRUCTGRAD_ROOT to one")


def results(scale: str) -> Path:
    """The folder of everything that a scale produced."""
    return project_root() / "results" / scale


def work() -> Path:
    """Checkpoints and other state of jobs that are not finished; safe to delete when nothing runs."""
    return project_root() / ".work"
