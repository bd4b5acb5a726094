"""Where a record comes from: sources, libraries, machine. Its commit is what :mod:`.git` finds."""

from __future__ import annotations

import os
import platform
import resource
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from structgrad.repro.running.digests import lock_digest, source_digest

LIBRARIES = ("torch", "numpy", "scipy", "numba", "structgrad")

__all__ = ["forget_peak_memory", "hardware", "libraries", "lock_digest", "peak_memory_mb", "source_digest"]


def libraries() -> dict[str, str]:
    """Versions of Python and of the libraries that the numbers pass through."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def hardware(device: str) -> dict[str, Any]:
    """The machine in a few words."""
    facts: dict[str, Any] = {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    if device.startswith("cuda"):
        import torch

        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as stream:
            for line in stream:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def forget_peak_memory() -> None:
    """Let :func:`peak_memory_mb` speak of what comes now, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_mb() -> float:
    """The largest resident size of this process since :func:`forget_peak_memory`, or ever, in MB."""
    with suppress(OSError, StopIteration):
        with Path("/proc/self/status").open(encoding="utf-8") as stream:
            line = next(line for line in stream if line.startswith("VmHWM:"))
        return round(int(line.split()[1]) * 1.024e-3, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)
