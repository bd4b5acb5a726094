"""End a run that waits for jobs of which the cluster knows nothing any more.

Snakemake takes a job that the cluster does not name for one that waits, for ever. Its jobs carry the run's name; where
the controller answers and knows no unfinished one, and Snakemake neither works nor has a local job at work, for longer
than it may take to ask again, it waits for nothing.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from structgrad.repro.running.cluster.controller import said

ENDED = frozenset((
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
))  # fmt: skip
ASKING = frozenset(("squeue", "sacct", "scontrol", "sbatch", "scancel", "sinfo", "sacctmgr", "sshare", "which", "sh"))
GRACE = 60.0  # seconds between asking Snakemake to end and making it


class Watchdog(threading.Thread):
    """Watches a Snakemake from when it has been told its process id.

    Args:
        name: what the names of the run's jobs begin with.
        patience: seconds.
        ask: gives ``name|state`` of every job of this user, or None where the controller does not answer.
    """

    def __init__(self, name: str, patience: float, ask: Callable[[], str | None] = lambda: said(*QUESTION)) -> None:
        super().__init__(daemon=True)
        self.run_name, self.patience, self.ask = name, patience, ask
        self.over = threading.Event()
        self.process = 0
        self.bit = False

    def watch(self, process: int) -> None:
        """Begin."""
        self.process = process
        self.start()

    def stop(self) -> bool:
        """The run is over; whether that was our doing."""
        self.over.set()
        return self.bit

    def run(self) -> None:
        idle_since, used = time.monotonic(), 0.0
        interval = self.patience / 10
        while not self.over.wait(interval):
            now, before = time.monotonic(), used
            used = self._seconds()
            if self._at_work() or used - before > interval / 4 or self._known() is not False:
                idle_since = now
            elif now - idle_since > self.patience:
                self.bit = True
                self._end()
                return

    def _known(self) -> bool | None:
        """Whether the controller knows an unfinished job of the run; None where it does not answer."""
        answer = self.ask()
        if answer is None:
            return None
        jobs = (line.rpartition("|") for line in answer.splitlines())
        return any(name.startswith(self.run_name) and state not in ENDED for name, _, state in jobs)

    def _at_work(self) -> bool:
        """Whether Snakemake has a local job at work: a child that is none of Slurm's commands."""
        import psutil

        with suppress(psutil.Error):
            return any(child.name() not in ASKING for child in psutil.Process(self.process).children())
        return False

    def _seconds(self) -> float:
        """The processor time that Snakemake has used."""
        import psutil

        with suppress(psutil.Error):
            times = psutil.Process(self.process).cpu_times()
            return times.user + times.system
        return 0.0

    def _end(self) -> None:
        for number, seconds in ((signal.SIGINT, GRACE), (signal.SIGKILL, 0.0)):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process, number)
            if self.over.wait(seconds):
                return


QUESTION = ("squeue", "--noheader", "--states=all", f"--user={os.getuid()}", "--format=%j|%T")
