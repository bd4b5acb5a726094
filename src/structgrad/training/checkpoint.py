"""Checkpoints: outside the declared outputs, keyed by what they belong to, replaced atomically."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from structgrad.files import write_bytes
from structgrad.training.results import Mean, Proportion, Result

torch.serialization.add_safe_globals([Result, Proportion, Mean])  # all that a state holds beside torch's own and plain
SEAL = hashlib.sha256().digest_size


class UnusableStateError(Exception):
    """A checkpoint that is whole, and yet no state of its training. It was set aside, under the name in the text."""


class Checkpoint:
    """The state of one interrupted job.

    The file is the sha256 of what follows, then torch's archive: a state that a disk or a kill has damaged is taken
    for none, since going on from it would give other numbers.

    Args:
        path: the file; its folder is made when first needed.
        key: everything that the state depends on (config, source digest, replicas); a file with another key is
            of another job and is ignored.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key

    def save(self, state: dict[str, Any]) -> None:
        """Write the state under a temporary name, then rename: a kill leaves the old state or the new.

        Raises:
            UserError: the disk is full or cannot be written.
        """
        archive = io.BytesIO()
        torch.save({"key": self.key, "state": state}, archive)
        content = archive.getvalue()
        write_bytes(self.path, hashlib.sha256(content).digest() + content)

    def load(self) -> dict[str, Any] | None:
        """The state, or None where there is none, or none of this key, or a damaged one.

        Raises:
            UnusableStateError: the file is whole, but was not written by :meth:`save`.
        """
        try:
            sealed = self.path.read_bytes()
        except OSError:
            return None
        seal, content = sealed[:SEAL], sealed[SEAL:]
        if hashlib.sha256(content).digest() != seal:
            return None
        try:
            archive = torch.load(io.BytesIO(content), weights_only=True)
            return archive["state"] if archive["key"] == self.key else None
        except Exception as error:  # whatever a reader of strange bytes may raise
            raise self.set_aside() from error

    def set_aside(self) -> UnusableStateError:
        """Give the file another name, under which nobody looks for it, and the error to raise."""
        aside = self.path.with_name(f"{self.path.name}.unusable")
        self.path.replace(aside)
        return UnusableStateError(f"{self.path} is no state of this training: it was set aside as {aside.name}")

    def clear(self) -> None:
        """Forget the state: the job is done."""
        self.path.unlink(missing_ok=True)
