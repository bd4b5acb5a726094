"""The shards that jobs of this checkout have finished, kept beside the checkpoints so that no stopped job loses one.

A job carries several shards, and a workflow removes the outputs of a job that failed or was stopped. What such a job
had finished is restored from here, as long as sources, hyper-parameters and libraries are the same.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from structgrad.files import write_text
from structgrad.repro.documents import DocumentError, read_json
from structgrad.repro.evidence.records import RecordError, check, peek
from structgrad.repro.planning.paths import work
from structgrad.repro.planning.shard import Shard


def keep(shard: Shard, key: str, record: dict[str, Any]) -> None:
    """Remember a sealed record and the key of what it was trained with."""
    write_text(_path(shard), json.dumps({"key": key, "record": record}) + "\n")


def kept(shard: Shard, key: str) -> dict[str, Any] | None:
    """The sealed record of that key, or None where there is none, or only one of another key or damaged."""
    stored = _load(shard)
    try:
        return check(stored["record"], str(_path(shard))) if stored and stored["key"] == key else None
    except RecordError:
        return None


def forget(shard: Shard) -> None:
    """Drop what is kept of a shard, so that it is trained anew."""
    _path(shard).unlink(missing_ok=True)


def outdated(shard: Shard, key: str) -> bool:
    """Whether its record was made in this checkout with another key; one from elsewhere is as it was meant to be."""
    stored = _load(shard)
    if not stored or stored["key"] == key or not shard.path.is_file():
        return False
    with suppress(RecordError):  # a damaged one is for the tables and the audit to name
        return peek(shard.path, "digest") == stored["record"]["digest"]
    return False


def _path(shard: Shard) -> Path:
    return work() / shard.scale / shard.id / "finished.json"


def _load(shard: Shard) -> dict[str, Any]:
    """What is kept of a shard; nothing where that is damaged."""
    try:
        stored = read_json(_path(shard))
    except DocumentError:
        return {}
    return stored if isinstance(stored, dict) and {"key", "record"} <= stored.keys() else {}
