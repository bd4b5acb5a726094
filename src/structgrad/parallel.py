"""One thread pool for solvers and noise: work is cut into blocks of replicas, and the cut never changes a number.

Kernels that release the GIL (numba ``nogil``, torch) run side by side; inside a worker torch itself keeps to one
thread, so that ``threads`` is the number of cores used and reductions are not split differently on different
machines.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from structgrad.errors import UserError

T = TypeVar("T")

_threads = 1
_pool: ThreadPoolExecutor | None = None


def set_threads(threads: int) -> None:
    """Use so many threads from now on (1: no pool at all)."""
    global _threads, _pool
    if threads < 1:
        raise UserError(f"threads must be at least 1, not {threads}")
    if _pool is not None:
        _pool.shutdown()
    _threads = threads
    _pool = None
    if threads > 1:
        _pool = ThreadPoolExecutor(threads, "structgrad", initializer=torch.set_num_threads, initargs=(1,))
    torch.set_num_threads(1)


def map_blocks(function: Callable[[slice], T], count: int, size: int) -> list[T]:
    """``function(block)`` for consecutive blocks of at most ``size`` out of ``count``, results in order."""
    size = max(1, min(size, -(-count // _threads)))
    blocks = [slice(start, min(start + size, count)) for start in range(0, count, size)]
    if _pool is None or len(blocks) < 2:
        return [function(block) for block in blocks]
    return list(_pool.map(function, blocks))
