"""Where a record comes from: sources, commit, libraries, machine."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from structgrad.repro.digests import lock_digest, source_digest
from structgrad.repro.paths import project_root

LIBRARIES = ("torch", "numpy", "scipy", "numba", "structgrad")

__all__ = ["git_state", "hardware", "libraries", "lock_digest", "peak_memory_mb", "source_digest"]


def git_state() -> tuple[str | None, bool | None]:
    """The commit checked out and whether tracked files differ from it; (None, None) outside git."""
    root = str(project_root())
    try:
        commit = _git(root, "rev-parse", "HEAD")
        # results are what jobs write; they do not make the sources dirty
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
    except (OSError, subprocess.CalledProcessError):
        return None, None
    return commit, bool(changed)


def _git(root: str, *arguments: str) -> str:
    return subprocess.run(["git", "-C", root, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def libraries() -> dict[str, str]:
    """Versions of Python and of the libraries that the numbers pass through."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


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


def peak_memory_mb() -> float:
    """The largest resident size of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)
