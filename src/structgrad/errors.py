"""Errors that are meant for people: one line that says what is wrong and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from math import log

NEAR = 0.5  # what is less alike is no slip of the hand
MANY = 30  # names that a line still holds
NUMBER = r"(\d+(?:\.\d+)?)"


class UserError(Exception):
    """A mistake the user can mend. The command line prints its one line and exits with code 2."""


def unknown(kind: str, word: object, known: Iterable[str], several: int = 1) -> UserError:
    """The error for a ``word`` that is none of the ``known`` ones; it names the nearest of them, ``several`` if asked.

    Where nothing is near it names them all, or of many the five nearest.
    """
    known = sorted(known)
    ranked = sorted(known, key=lambda name: -_nearness(str(word), name))
    near = [name for name in ranked[:several] if _nearness(str(word), name) >= NEAR]
    if several > 1:
        hint = f"the nearest: {', '.join(map(repr, ranked[:several]))}"
    elif near:
        hint = f"did you mean {near[0]!r}?"
    elif len(known) > MANY:
        hint = f"the nearest of {len(known)}: {', '.join(map(repr, ranked[:5]))}"
    else:
        hint = f"known: {', '.join(known)}"
    return UserError(f"unknown {kind} {str(word)!r}; {hint}")


def _nearness(word: str, name: str) -> float:
    """From 0 to 1: how alike two names are. ``d=26`` is nearer to ``d=25`` than to ``d=60``."""
    alike = SequenceMatcher(None, word, name).ratio()
    ours, theirs = re.split(NUMBER, word), re.split(NUMBER, name)
    if len(ours) < 3 or ours[::2] != theirs[::2]:
        return alike
    ratios = [abs(log((float(a) + 1) / (float(b) + 1))) for a, b in zip(ours[1::2], theirs[1::2], strict=True)]
    return 0.9 + 0.1 / (1 + max(ratios))  # the same but for its numbers
