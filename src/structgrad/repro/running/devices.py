"""One CUDA device for one job: a lease on one of those that are there, which ends with the process that holds it.

Where a scheduler gave the job its device there is nothing to choose. Elsewhere (a workstation with several, an
allocation whose jobs we start ourselves) a job takes the first device whose lock file nobody holds, and sees no other
one. The operating system lets go of the lock when the process ends, however it ends.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from structgrad.errors import UserError
from structgrad.repro.running.pace import kind_of

VISIBLE = "CUDA_VISIBLE_DEVICES"
FOLDER = "STRUCTGRAD_RUNTIME"  # where the lock files are, on a file system of this machine; else among temporary files
SLURM = "SLURM_JOB_ID"
SCHEDULERS = (SLURM, "SLURM_STEP_ID", "PBS_JOBID", "LSB_JOBID")  # their jobs and steps may count from 0 each


@contextmanager
def leased(device: str) -> Iterator[None]:
    """Hold a device for as long as the context lasts; with ``cuda`` it is then the only one that this process sees.

    ``cuda:1`` is the second of those that are visible, and no other will do. Called before anything uses CUDA.

    Raises:
        UserError: there is no such device, or all are taken.
    """
    if kind_of(device) != "cuda":
        yield
        return
    devices, named = wanted(device), os.environ.get(VISIBLE)
    lock, leased_one = _first_free(devices)
    if device == "cuda":
        os.environ[VISIBLE] = leased_one
    try:
        yield
    finally:
        lock.release()
        if named is None:
            os.environ.pop(VISIBLE, None)
        else:
            os.environ[VISIBLE] = named


def wanted(device: str) -> list[str]:
    """The devices, as CUDA_VISIBLE_DEVICES names them, of which a job with that ``device`` takes one.

    Raises:
        UserError: there is none; the line says what there is.
    """
    devices = _visible()
    index = device.partition(":")[2]
    chosen = devices[int(index) : int(index) + 1] if index else devices
    if not chosen:
        raise lacking(device, len(devices))
    return chosen


def lacking(device: str, count: int) -> UserError:
    """The error for a device that is none of the ``count`` that are visible."""
    has = f"{count} CUDA device{'s' if count != 1 else ''}"
    return UserError(f"device {device} asked for, but this machine shows {has}; set device: cpu in config.yaml")


def _visible() -> list[str]:
    named = os.environ.get(VISIBLE)
    if named is not None:
        entries = [entry.strip() for entry in named.split(",")]
        end = next((at for at, entry in enumerate(entries) if not _names_one(entry)), len(entries))
        return entries[:end]  # CUDA stops at the first that is none, too
    if os.environ.get(SLURM):
        raise UserError(
            f"Slurm gave job {os.environ[SLURM]} no GPU ({VISIBLE} is not set); ask for one (gpu: 1, --gpus=1), "
            "or set device: cpu in config.yaml"
        )
    import torch

    return [str(index) for index in range(torch.cuda.device_count())]


def _names_one(entry: str) -> bool:
    return entry.isdigit() or entry.startswith(("GPU-", "MIG-"))


def _first_free(devices: list[str]) -> tuple[BaseFileLock, str]:
    folder = _folder()
    for device in devices:
        lock = FileLock(folder / f"{device.replace('/', '_')}.lock", timeout=0, mode=0o666)
        try:
            lock.acquire()
            return lock, device
        except Timeout:
            continue
        except OSError as error:
            raise UserError(f"{lock.lock_file}: cannot be locked ({error.strerror}); name another {FOLDER}") from error
    raise UserError(
        f"no CUDA device is free: other jobs hold {', '.join(devices)}; wait for one, or run fewer jobs at once"
    )


def _folder() -> Path:
    """Where the lock files of this machine are, or of this scheduler's job."""
    root = Path(os.environ.get(FOLDER) or tempfile.gettempdir()) / "structgrad-devices"
    job = "-".join(f"{name}-{os.environ[name]}" for name in SCHEDULERS if os.environ.get(name))
    try:
        root.mkdir(parents=True, exist_ok=True)
        with suppress(PermissionError):  # it is another user's, who did the same
            root.chmod(0o1777)
        folder = root / job if job else root
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {root}: {error.strerror}; name another folder in {FOLDER}") from error
    return folder
