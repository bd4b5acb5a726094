"""Names in configurations and commands are known ones, or the mistake is one line with the nearest right word."""

from __future__ import annotations

from collections.abc import Iterable

from structgrad.errors import unknown


def check_names(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Refuse the first of ``names`` that is not known.

    Raises:
        UserError: it, with the nearest known one.
    """
    known = set(known)
    for name in names:
        if name not in known:
            raise unknown(kind, name, known)
