"""One run of the workflow at a time for each scale: a lock that ends with its holder, however that ends.

Snakemake's own lock is a file: it outlives a run that was killed, and a run that ends takes those of others with it. So
the runs that we start do without (``--nolock``) and hold an operating system's lock on a file below ``.work`` instead,
which their Snakemake inherits; a plain ``snakemake`` takes the same one when it starts to work. The file names the
holder for people; whether it is alive, only the lock says.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any

from structgrad import cache
from structgrad.errors import UserError
from structgrad.repro.planning.paths import project_root, work

INHERITED = "STRUCTGRAD_LOCK"  # the scale whose lock the process that started this one holds for both


class Lock:
    """A scale's lock, held until it is released or the last process that inherited it ends."""

    def __init__(self, scale: str) -> None:
        """Take it.

        Raises:
            UserError: somebody else holds it; the line names the process.
        """
        path = _file(scale)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}; work in a checkout of your own") from error
        self.files = [self.file]
        try:
            self._take(path)
        except BlockingIOError as error:
            holder = self._read()
            self._close()
            raise UserError(_told(f"scale {scale}", holder)) from error
        self.left_by = self._read().get("pid")  # a holder that was killed could not take its name away
        self.name(None)

    def name(self, workflow: int | None) -> None:
        """Write down who holds it: this process, and the process group of the workflow that inherited it."""
        holder = {"pid": os.getpid(), "workflow": workflow, "host": socket.gethostname()}
        self._write(json.dumps(holder).encode())

    def release(self) -> None:
        """Let go of it in this process and clear the holder's name."""
        self._write(b"")
        self._close()

    def _take(self, path: Path) -> None:
        """Lock the file; where its file system has no locks, as some home folders, one on this machine instead, which
        keeps away what runs here.
        """
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            name = hashlib.sha256(bytes(path)).hexdigest()[:16]
            here = cache.private_folder("structgrad-locks") / name
            self.files.append(os.open(here, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            fcntl.flock(self.files[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _close(self) -> None:
        for file in self.files:
            os.close(file)

    def _read(self) -> dict[str, Any]:
        return _content(os.pread(self.file, 4096, 0))

    def _write(self, content: bytes) -> None:
        os.ftruncate(self.file, 0)
        os.pwrite(self.file, content, 0)


def hold(scale: str) -> None:
    """Hold a scale's lock while this process lives, unless the process that started it does: for plain snakemake."""
    if os.environ.get(INHERITED) != scale:
        _held.append(Lock(scale))


_held: list[Lock] = []


def left_by_snakemake() -> bool:
    """Whether Snakemake's own lock lies here though nobody who could have made it lives.

    Raises:
        UserError: a Snakemake that none of our locks is held for works in this project; the line names it.
    """
    import psutil

    root = project_root()
    if not any((root / ".snakemake" / "locks").glob("*.lock")):
        return False
    ours = {_content(path.read_bytes()).get("workflow") for path in work().glob("*/workflow.lock")}
    for process in psutil.process_iter(["cwd", "cmdline"]):
        words = process.info["cmdline"] or []
        named = any(Path(word).name == "snakemake" for word in words[:4])
        if named and process.info["cwd"] == str(root) and process.pid not in ours:
            raise UserError(_told("this project", {"pid": process.pid, "host": socket.gethostname()}))
    return True


def _file(scale: str) -> Path:
    return work() / scale / "workflow.lock"


def _content(written: bytes) -> dict[str, Any]:
    try:
        holder = json.loads(written)
    except ValueError:  # nothing, or half a line
        return {}
    return holder if isinstance(holder, dict) else {}


def _told(what: str, holder: dict[str, Any]) -> str:
    pid, workflow, host = (holder.get(key) for key in ("pid", "workflow", "host"))
    here = host == socket.gethostname()
    if workflow and here and not (pid and _lives(pid)):
        who, stop = f"the Snakemake (process {workflow}) of a run that was killed", f"kill -INT -- -{workflow}"
    else:
        who, stop = f"process {pid or 'unknown'}{'' if here else f' on {host}'}", f"kill -INT {pid}"
    return f"{what} is being worked on by {who}; wait for it, or stop it ({stop}) and run again"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
