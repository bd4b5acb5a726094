"""Freed memory that stays at hand."""

from __future__ import annotations

import ctypes
from contextlib import suppress

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def keep_freed_memory() -> None:
    """Let this process keep what it frees instead of giving it back to the system; where there is no glibc, nothing.

    A training step frees megabytes and asks for as many again. Given back, they are mapped and zeroed anew each time:
    thousands of page faults, a tenth of a step on graph layouts and up to a third on label rankings.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(TRIM_THRESHOLD, 2**30)
        if not mallopt(MMAP_THRESHOLD, 2**30):
            mallopt(MMAP_THRESHOLD, 2**25)  # the most that older versions take
