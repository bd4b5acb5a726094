"""Time and memory of two candidates for the same work, so that a busy machine disturbs their ratio little.

Every measurement runs in a child forked from a parent that has imported everything and computed next to nothing: no
candidate meets a heap, a thread pool or a cache that another one left behind.

* Time: the candidates take turns, and who goes first changes from turn to turn. A turn is a block of calls long enough
  to be timed (``BLOCK`` seconds or more). On one thread the clock is the CPU time of the process, on two the wall.
* Memory: the candidate alone, in a child of its own. It first works on a tiny batch, which loads its code; then the
  full inputs are made, freed heap is given back to the system, and the peak of the resident set is read before and
  after one call (``ru_maxrss``; where Linux allows it, the peak is reset first, otherwise the growth is a lower bound).
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import resource
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

BLOCK = 0.02
MIB = 2**20

Call = Callable[[], Any]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Spread:
    """Median and range over turns."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's result, computed in a forked child; a failure there is raised here with its traceback."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def work() -> None:
        try:
            sender.send((True, function(*arguments)))
        except BaseException:
            sender.send((False, traceback.format_exc()))

    child = context.Process(target=work)
    child.start()
    sender.close()
    try:
        good, result = receiver.recv()
    except EOFError:
        good, result = False, "the child was killed"
    child.join()
    if not good:
        raise RuntimeError(f"{function.__name__} failed in a child process:\n{result}")
    return result


@dataclass(frozen=True)
class Candidate:
    """A call that has loaded its code, the clock that it is timed by, and how many threads torch may use for it."""

    call: Call
    clock: Clock
    torch_threads: int = 1

    @cached_property
    def count(self) -> int:
        """How many calls last ``BLOCK`` seconds."""
        once = self._seconds(1)
        return max(1, round(BLOCK / (once if once > BLOCK else self._seconds(3))))

    def seconds(self) -> float:
        """Seconds a call, over one block."""
        return self._seconds(self.count)

    def _seconds(self, count: int) -> float:
        torch.set_num_threads(self.torch_threads)
        time.sleep(0.002)  # idle OpenMP threads of the candidate before still spin for a while
        start = self.clock()
        for _ in range(count):
            self.call()
        return (self.clock() - start) / count


def take_turns(candidates: Sequence[Candidate], seconds: float, least: int) -> list[list[float]]:
    """Seconds a call of each candidate, turn by turn, for about so many seconds by the wall and ``least`` turns."""
    turns: list[list[float]] = [[] for _ in candidates]
    end = time.perf_counter() + seconds
    while len(turns[0]) < least or time.perf_counter() < end:
        forth = len(turns[0]) % 2 == 0
        for i in range(len(candidates))[:: 1 if forth else -1]:
            turns[i].append(candidates[i].seconds())
    return turns


def peak_growth(call: Call) -> float:
    """MiB by which one call raises the peak of the resident set, its result held."""
    gc.collect()
    with suppress(OSError, AttributeError):  # freed heap that the call would use again without growing
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    before = _peak()
    result = call()
    growth = (_peak() - before) / MIB
    del result
    return growth


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
