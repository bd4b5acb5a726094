"""How the jobs of a run began and ended, one line an event, written by the jobs themselves.

A cluster's controller forgets a job some minutes after its end and sees 1 where a job ended with 75 or 2. What is
written here stays: it decides whether a job is tried again, and says afterwards why one failed.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from structgrad.errors import UserError
from structgrad.repro.planning.paths import work


@dataclass(frozen=True)
class Outcome:
    """The last attempt of a job: its Slurm job, if any, and its exit code and last word where it came to an end."""

    slurm: str | None = None
    host: str | None = None
    code: int | None = None
    why: str = ""


@contextmanager
def written_down(scale: str, job: str | None) -> Iterator[None]:
    """Write down that an attempt of a job begins here, and how it ends; nothing for one that has no name."""
    if job is None:
        yield
        return
    code, why = 0, ""
    _append(scale, job, {"slurm": os.environ.get("SLURM_JOB_ID"), "host": socket.gethostname()})
    try:
        yield
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 1
        raise
    except UserError as error:
        code, why = 2, str(error)
        raise
    except BaseException as error:
        code, why = 1, repr(error)
        raise
    finally:
        _append(scale, job, {"code": code, "why": why})


def last(scale: str, job: str) -> Outcome | None:
    """The last attempt of a job; None where none has begun."""
    found: dict[str, Any] | None = None
    with suppress(OSError):
        for line in _path(scale, job).read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):  # half a line of a job that was killed
                event = json.loads(line)
                found = event if "host" in event else (found or {}) | event
    return None if found is None else Outcome(**found)


def forget(scale: str) -> None:
    """Forget the jobs of the run before."""
    shutil.rmtree(_folder(scale), ignore_errors=True)


def _folder(scale: str) -> Path:
    return work() / scale / "jobs"


def _path(scale: str, job: str) -> Path:
    return _folder(scale) / f"{job}.jsonl"


def _append(scale: str, job: str, event: dict[str, Any]) -> None:
    with suppress(OSError):  # a full disk is said by what cannot be written there, not by this
        _folder(scale).mkdir(parents=True, exist_ok=True)
        with _path(scale, job).open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")
