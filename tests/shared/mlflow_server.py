"""An MLflow server on this machine, which a test can take away in the middle and bring back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from structgrad.repro.tracking import mlflow_store

STARTUP = 600.0  # seconds that a busy machine may need to start a server


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """A server with this store behind it; its process group is its own."""

    def __init__(self, folder: Path, store: str, workers: int = 1) -> None:
        self.folder, self.port = folder, free_port()
        self.words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        self.words += ["--workers", str(workers), "--backend-store-uri", store]
        self.words += ["--artifacts-destination", str(folder / "artifacts")]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """What stands for ``tracking`` in a configuration."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "server.log").open("wb") as log:
            self.process = subprocess.Popen(
                self.words,
                cwd=self.folder,
                env=os.environ | mlflow_store.ENVIRONMENT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + STARTUP
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=30) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.2)
        said = (self.folder / "server.log").read_text(encoding="utf-8")[-2000:]
        pytest.fail(f"the server did not start: {said}")

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End it and its workers."""
        if self.process is None:
            return
        os.killpg(self.process.pid, with_signal)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
        self.process = None
