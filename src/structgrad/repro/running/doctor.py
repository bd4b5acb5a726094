"""The doctor: can this machine reproduce, and if not, what to do about it? One small function per question."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from structgrad import cache
from structgrad.data import store
from structgrad.data.sources import at_hand
from structgrad.errors import UserError
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import Plan
from structgrad.repro.running.diagnosis import Diagnosis, Question
from structgrad.repro.running.realdata import data_folder, needed_by
from structgrad.repro.running.software import installed, libraries, python, torch, workflow

FREE = (0.5, 5.0)  # GB: below the first nothing can be written for long, below the second a warning


def machine(_: Plan) -> Iterator[Diagnosis]:
    """How many cores there are, and how much memory is available."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        import psutil
    except ImportError:
        yield Diagnosis("machine", "ok", f"{cores} cores")
        return
    free = psutil.virtual_memory().available / 1e9
    seen = f"{cores} cores, {free:.1f} GB of memory available"
    if free < 2:
        yield Diagnosis("machine", "warn", seen, "a training job needs about 1 GB; use --cores 1, or close something")
    else:
        yield Diagnosis("machine", "ok", seen)


def disk(plan: Plan) -> Iterator[Diagnosis]:
    """Whether the results' folder can be written, and how much room there is."""
    folder = _nearest(results(plan.scale))
    free = shutil.disk_usage(folder).free / 1e9
    seen = f"{free:.1f} GB free at {folder}"
    if not os.access(folder, os.W_OK):
        yield Diagnosis("disk", "fail", f"{folder} cannot be written", "work in a checkout of your own")
    elif free < FREE[0]:
        yield Diagnosis("disk", "fail", seen, "free some; finished records are kept")
    elif free < FREE[1]:
        yield Diagnosis("disk", "warn", seen, "enough for the results, not for data sets or a new set-up (6 GB)")
    else:
        yield Diagnosis("disk", "ok", seen)


def kernels(_: Plan) -> Iterator[Diagnosis]:
    """Where numba keeps what it compiled."""
    folder = cache.place()
    if folder is None:
        advice = f"set {cache.VARIABLE} to a folder that can be written, or nothing can be compiled"
        seen = "no folder for them can be written, not even a temporary one"
        yield Diagnosis("compiled kernels", "fail", seen, advice)
    elif folder.is_relative_to(tempfile.gettempdir()):
        advice = f"set {cache.VARIABLE} to a folder that stays, or they are compiled anew when {folder} goes"
        yield Diagnosis("compiled kernels", "warn", f"kept in {folder}", advice)
    else:
        yield Diagnosis("compiled kernels", "ok", f"kept in {folder}")


def data(plan: Plan) -> Iterator[Diagnosis]:
    """Where real data is looked for, and which of the scale's files are there."""
    missing, damaged = list[str](), list[str]()
    with data_folder(plan):
        folder, files = store.named(), list(needed_by(plan, plan.shards))
        looked = f"looked for in {' and '.join(map(str, store.folders()))}"
        for file in files:
            try:
                missing += [] if at_hand(file) else [file.path]
            except UserError as error:
                damaged.append(str(error))
    for seen in damaged:
        yield Diagnosis("data", "fail", seen, "take it out of the way; nothing that needs it is trained")
    if folder and not folder.is_dir():
        advice = "correct data_folder in config.yaml (or STRUCTGRAD_DATA), or unset it to download"
        yield Diagnosis("data", "warn", f"{folder} is not a folder", advice)
    if missing:
        seen = f"{len(missing)} of {len(files)} files are not at hand: {', '.join(missing)}; {looked}"
        yield Diagnosis("data", "warn", seen, "structgrad data fetch, or set STRUCTGRAD_DATA to a folder with them")
    elif files and not damaged:
        yield Diagnosis("data", "ok", f"all {len(files)} files are there; {looked}")
    elif not files and (folder is None or folder.is_dir()):
        yield Diagnosis("data", "ok", f"scale {plan.scale} needs none from elsewhere")


def tracking(plan: Plan) -> Iterator[Diagnosis]:
    """Whether the tracking server, if one is named, answers."""
    import socket
    from urllib.parse import urlsplit

    address = plan.config["tracking"]
    if address == "sqlite":
        yield Diagnosis("tracking", "ok", f"SQLite, results/{plan.scale}/mlflow.db")
        return
    place = urlsplit(address)
    try:
        port = place.port or (443 if place.scheme == "https" else 80)
        socket.create_connection((place.hostname or "", port), timeout=3).close()
    except (OSError, ValueError):
        advice = "start the server, or set tracking: sqlite in config.yaml"
        yield Diagnosis("tracking", "warn", f"{address} does not answer", advice)
        return
    yield Diagnosis("tracking", "ok", f"{address} answers")


def git(_: Plan) -> Iterator[Diagnosis]:
    """Whether records can name the commit that made them."""
    from structgrad.repro.running.git import state

    commit, dirty, why = state()
    if commit is None:
        yield Diagnosis("git", "warn", why, "records will name no commit; work in a clone of its own")
    elif dirty:
        yield Diagnosis("git", "ok", f"commit {commit[:12]}, with uncommitted changes (records will say so)")
    else:
        yield Diagnosis("git", "ok", f"commit {commit[:12]}")


def slurm(_: Plan) -> Iterator[Diagnosis]:
    """A cluster: its commands, and the plugin that submits."""
    if shutil.which("sbatch") is None:
        yield Diagnosis("slurm", "ok", "no sbatch here: jobs run on this machine")
        return
    if installed("snakemake-executor-plugin-slurm") is None:
        yield Diagnosis("slurm", "warn", "the executor plugin is not installed", "make setup")
    if os.environ.get("SLURM_JOB_ID"):
        yield Diagnosis("slurm", "warn", "inside an allocation", "start --profile slurm from a login node")
    yield Diagnosis("slurm", "ok", "sbatch is here: structgrad doctor --cluster looks at the cluster")


QUESTIONS: tuple[Question, ...] = (
    python, libraries, torch, machine, disk, kernels, data, workflow, tracking, git, slurm,
)  # fmt: skip


def examine(plan: Plan) -> list[Diagnosis]:
    """Every diagnosis of this machine."""
    return [diagnosis for question in QUESTIONS for diagnosis in question(plan)]


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder
