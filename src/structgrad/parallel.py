"""One thread pool for solvers and noise: work is cut into blocks of replicas, and the cut never changes a number.

Kernels that release the GIL (numba ``nogil``, torch) run side by side; inside a worker torch itself keeps to one
thread, so that ``threads`` is the number of cores used and reductions are not split differently on different
machines.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch

from structgrad.errors import UserError

T = TypeVar("T")

_threads = 1
_pool: ThreadPoolExecutor | None = None  # made by the first work that is cut, one for each process
_here = threading.local()  # .worker is set in the pool's own threads: work there is not split again


def set_threads(threads: int) -> None:
    """Use this many threads from now on (1: no pool at all), in this process and those forked from it.

    Torch itself is set to one thread, for all of the process (``torch.set_num_threads(1)``): here the cores belong to
    the pool, and torch's reductions depend on how many threads it has. Work that other threads have begun goes on.

    Raises:
        UserError: fewer than one thread.
    """
    global _threads, _pool
    if threads < 1:
        raise UserError(f"threads must be at least 1, not {threads}")
    _threads = threads
    _pool = None  # not shut down: it ends by itself when the work in it is done
    torch.set_num_threads(1)


def _enter() -> None:
    _here.worker = True
    torch.set_num_threads(1)


def _forget() -> None:
    """A forked process has none of its parent's threads: it makes a pool of its own when it needs one."""
    global _pool
    _pool = None
    _here.worker = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def map_blocks(function: Callable[[slice], T], count: int, size: int) -> list[T]:
    """``function(block)`` for consecutive blocks of at most ``size`` out of ``count``, results in order."""
    global _pool
    threads = _threads
    size = max(1, min(size, -(-count // threads)))
    blocks = [slice(start, min(start + size, count)) for start in range(0, count, size)]
    if threads == 1 or len(blocks) < 2 or getattr(_here, "worker", False):
        return [function(block) for block in blocks]
    pool = _pool
    if pool is None:
        pool = _pool = ThreadPoolExecutor(threads, "structgrad", initializer=_enter)
    return list(pool.map(function, blocks))


def run_kernel(kernel: Callable[..., None], *arguments: Any) -> None:
    """Run a compiled kernel that fills its output arrays, on blocks of rows of all array arguments at once.

    Every array (the first argument is one) has the same length; other arguments go to each call as they are. A kernel
    that treats each row by itself gives the same numbers however the rows are cut.
    """
    count = len(arguments[0])
    map_blocks(
        lambda rows: kernel(*(a[rows] if isinstance(a, np.ndarray) else a for a in arguments)), count, max(1, count)
    )
