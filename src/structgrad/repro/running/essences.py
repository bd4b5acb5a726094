"""A cache of the digests of sources without comments, keyed by the sources' content: making them all takes a second.

The file can be deleted at any time and cannot be out of date: other content, or another way of reading it, has another
key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from structgrad.errors import UserError
from structgrad.files import write_text
from structgrad.repro.planning.paths import work

READER = Path(__file__).with_name("digests.py").read_bytes()
MOST = 5000  # digests that are kept; beyond that the cache begins anew

_new: dict[str, str] = {}


def digest(content: bytes, essence: Callable[[], str]) -> str:
    """sha256 of what ``essence`` makes of the content; it is called once for each content, across processes."""
    key = hashlib.sha256(READER + content).hexdigest()
    essence_digest = _known().get(key) or _new.get(key)
    if essence_digest is None:
        essence_digest = _new[key] = hashlib.sha256(essence().encode()).hexdigest()
    return essence_digest


def keep() -> None:
    """Write down what this process added, if there is a project that can be written."""
    if not _new:
        return
    known = _known()
    if len(known) > MOST:
        known.clear()
    known.update(_new)
    _new.clear()
    with suppress(UserError):
        write_text(_path(), json.dumps(known))


@cache
def _known() -> dict[str, str]:
    try:
        kept = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError, UserError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _path() -> Path:
    return work() / "essences.json"
