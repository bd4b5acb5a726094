"""Checkpoints: outside the declared outputs, keyed by what they belong to, replaced atomically."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch


class Checkpoint:
    """The state of one interrupted job.

    Args:
        path: the file; its folder is made when first needed.
        key: everything that the state depends on (config, source digest, replicas); a file with another key is
            of another job and is ignored.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key

    def save(self, state: dict[str, Any]) -> None:
        """Write the state under a temporary name, then rename: a kill leaves the old state or the new."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as stream:
                torch.save({"key": self.key, "state": state}, stream)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """The state, or None where there is none, or none of this key, or one that cannot be read."""
        try:
            content = torch.load(self.path, weights_only=True)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, BadZipFile):
            return None
        return content["state"] if content.get("key") == self.key else None

    def clear(self) -> None:
        """Forget the state: the job is done."""
        self.path.unlink(missing_ok=True)
