"""Errors that are meant for people: one line that says what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake the user can mend. The command line prints its one line and exits with code 2."""


def unknown(kind: str, word: object, known: Iterable[str]) -> UserError:
    """The error for a ``word`` that is none of the ``known`` ones; it names the nearest of them."""
    known = sorted(known)
    near = get_close_matches(str(word), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return UserError(f"unknown {kind} {str(word)!r}; {hint}")
