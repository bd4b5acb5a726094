"""A shard's log: a file beside its scale's other logs, to which every training of the shard adds its lines.

It begins with where and when, goes on with how far the training is, and ends with what became of it; a log that ends
before that is of a process that was killed.
"""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from structgrad.errors import UserError
from structgrad.repro.planning.shard import Shard

Say = Callable[[str], None]
JOBS = {"Slurm job": "SLURM_JOB_ID", "step": "SLURM_STEP_ID", "CUDA device": "CUDA_VISIBLE_DEVICES"}
BEGINS = "training on"
ENDS = ("failed: ", "stopped", "out of time", "done")
SILENT = "it ended without a word (killed, or out of memory?)"


@contextmanager
def journal(path: Path | None, device: str) -> Iterator[Say]:
    """What adds a line to the log while a shard trains; an error is its last one. Without a path nothing is written."""
    from structgrad.training.loop import OutOfTimeError

    say = _writer(path)
    jobs = [f"{name} {os.environ[key]}" for name, key in JOBS.items() if os.environ.get(key)]
    say(f"{BEGINS} {', '.join([socket.gethostname(), f'process {os.getpid()}', *jobs, device])}")
    try:
        yield say
    except UserError as error:
        say(f"failed: {error}")
        raise
    except OutOfTimeError:
        say("out of time: a checkpoint waits")
        raise
    except Exception as error:
        say(traceback.format_exc().rstrip())
        say(f"failed: {type(error).__name__}: {error}")
        raise
    except KeyboardInterrupt:
        say("stopped")
        raise


def last_line(shard: Shard) -> str:
    """How the last training of a shard ended, without the time; that it said nothing, where it did not."""
    lines = []
    with suppress(OSError):
        lines = shard.log.read_text(encoding="utf-8", errors="replace").splitlines()
    words = lines[-1].partition(" ")[2] if lines else ""
    return words.removeprefix("failed: ") if words.startswith(ENDS) else SILENT


def _writer(path: Path | None) -> Say:
    def say(text: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        lines = "".join(f"{now} {line}\n" for line in text.splitlines())
        if path is not None:
            with suppress(OSError):  # a training does not fail for want of its log
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("a", encoding="utf-8") as log:
                    log.write(lines)

    return say
