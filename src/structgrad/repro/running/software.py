"""The doctor's questions about what is installed: Python, torch, and the versions that the lock pins."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from structgrad.repro.planning.paths import project_root
from structgrad.repro.planning.plan import Plan
from structgrad.repro.running.diagnosis import Diagnosis

PYTHON = (3, 11)
NEEDED = ("torch", "numpy", "scipy", "numba", "pandas", "snakemake", "matplotlib", "jinja2")
SHOWN = 4  # packages of another version that are named


def installed(name: str) -> str | None:
    """The version of a package here; None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def python(_: Plan) -> Iterator[Diagnosis]:
    """Whether this Python is new enough."""
    seen = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info < PYTHON:
        yield Diagnosis("python", "fail", seen, "install Python 3.11 or newer, then: make setup PYTHON=python3.12")
    else:
        yield Diagnosis("python", "ok", seen)


def libraries(_: Plan) -> Iterator[Diagnosis]:
    """What is installed against what the lock pins."""
    missing = [name for name in NEEDED if installed(name) is None]
    if missing:
        yield Diagnosis("libraries", "fail", f"not installed: {', '.join(missing)}", "make setup")
    lock = project_root() / "requirements.lock"
    if not lock.is_file():
        yield Diagnosis("lock", "warn", "there is no requirements.lock here", "work from a whole checkout")
        return
    differing = list(_differing(lock.read_text(encoding="utf-8")))
    if not differing:
        yield Diagnosis("lock", "ok", "installed versions are those of requirements.lock")
        return
    shown = ", ".join(differing[:SHOWN]) + (f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else "")
    yield Diagnosis("lock", "warn", shown, "make setup; with other versions the last digits may differ")


def torch(plan: Plan) -> Iterator[Diagnosis]:
    """Whether torch can be imported, and has the device that the configuration asks for."""
    try:
        import torch as library
    except (ImportError, OSError) as error:
        yield Diagnosis("torch", "fail", f"cannot be imported: {str(error)[:120]}", "make setup")
        return
    count = library.cuda.device_count() if library.cuda.is_available() else 0
    gpus = ", ".join(library.cuda.get_device_name(index) for index in range(count)) or "none"
    yield Diagnosis("torch", "ok", f"{library.__version__}, {library.get_num_threads()} threads, CUDA devices: {gpus}")
    device = plan.config["device"]
    if device.startswith("cuda") and int(device.partition(":")[2] or 0) >= count:
        yield Diagnosis("device", "fail", f"config.yaml asks for {device}, which is not here", "set device: cpu")


def workflow(_: Plan) -> Iterator[Diagnosis]:
    """Whether Snakemake is there and new enough, and whether MLflow is there."""
    snakemake = installed("snakemake")
    if snakemake and int(snakemake.partition(".")[0]) < 9:
        yield Diagnosis("snakemake", "fail", f"version {snakemake}; 9 is needed", "make setup")
    elif snakemake:
        yield Diagnosis("snakemake", "ok", snakemake)
    mlflow = installed("mlflow")
    if mlflow is None:
        yield Diagnosis("mlflow", "warn", "not installed; tables and report do not need it", "make setup")
    else:
        yield Diagnosis("mlflow", "ok", mlflow)


def _differing(lock: str) -> Iterator[str]:
    """Packages of the lock that belong on this machine and are missing or of another version."""
    from packaging.markers import Marker
    from packaging.version import Version

    pinned: dict[str, str] = {}
    for name, wanted, marker in re.findall(r"^([\w.-]+)==(\S+?)(?: *; *(.*?))? *\\?$", lock, flags=re.MULTILINE):
        if not marker or Marker(marker).evaluate():
            pinned[name] = wanted
    for name, wanted in pinned.items():
        here = installed(name)
        if here is None:
            yield f"{name} is missing"
        elif Version(here).public != Version(wanted).public:  # 2.11.0+cpu is 2.11.0
            yield f"{name} {here} instead of {wanted}"
