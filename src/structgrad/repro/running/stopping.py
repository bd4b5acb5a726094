"""When a job has to hand back: it is told to stop (SIGTERM), or its time is over; its checkpoint is written first.

A cluster sends SIGTERM when it takes a node away, a job is cancelled or its time limit is reached, and SIGKILL some
seconds later (Slurm's ``KillWait``, 30 by default). A step that has begun is ended, then the state is saved.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from structgrad.repro.running.cluster.controller import said

OUT_OF_TIME = 75  # EX_TEMPFAIL: a checkpoint waits, run again to go on
MARGIN = 300.0  # seconds before a job's time limit at which it hands back, at most; a third of what is left at most


class Stopping:
    """Hears SIGTERM while :meth:`listening`; :meth:`mind` is called between two steps of a training."""

    def __init__(self) -> None:
        self.told = self.training = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Between trainings a signal ends the process at once, inside one after the step at hand."""
        before = signal.signal(signal.SIGTERM, self._hear)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def mind(self) -> None:
        """Hand back if we were told to.

        Raises:
            structgrad.training.loop.OutOfTimeError: the loop then saves the state.
        """
        if self.told:
            from structgrad.training.loop import OutOfTimeError

            raise OutOfTimeError

    def _hear(self, *_: Any) -> None:
        self.told = True
        if not self.training:
            sys.exit(OUT_OF_TIME)


def deadline(budget: float | None) -> float | None:
    """On the monotonic clock, when to hand back: ``budget`` seconds after this process began, and before a cluster
    kills the job; None where nothing limits it.
    """
    import psutil

    now = time.monotonic()
    age = max(0.0, time.time() - psutil.Process().create_time())
    ends = [] if budget is None else [now + budget - age]
    left = time_left()
    if left is not None:
        ends.append(now + left - min(MARGIN, left / 3))
    return min(ends, default=None)


def time_left() -> float | None:
    """Seconds until the time limit of the Slurm job that we are in; None outside of one, or where it has no limit."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return None
    return seconds_of((said("squeue", "--noheader", "--jobs", job, "--format=%L") or "").strip())


def seconds_of(span: str) -> float | None:
    """Slurm's ``days-hours:minutes:seconds`` in seconds, as in ``1-02:00:00`` and ``9:30``; None for a word."""
    days, _, clock = span.rpartition("-")
    try:
        parts = [int(part) for part in clock.split(":")]
        total = 86400.0 * int(days or 0)
    except ValueError:
        return None
    return total + sum(part * 60**place for place, part in enumerate(reversed(parts)))
