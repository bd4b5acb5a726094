"""Arguments of the wrong kind or out of range: one line that names the argument and what is wanted."""

from __future__ import annotations

from numbers import Real
from operator import index
from typing import Any, TypeVar

T = TypeVar("T")
SHOWN = 40  # characters of a value in a message


def count(value: Any, name: str, least: int = 1) -> int:
    """``value`` as an integer of at least ``least``.

    Raises:
        TypeError: no whole number (a boolean or a float is none).
        ValueError: a smaller one.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = index(value)
    except TypeError:
        shown = repr(value)
        shown = shown if len(shown) <= SHOWN and "\n" not in shown else type(value).__name__
        raise TypeError(f"{name} must be a whole number, not {shown}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, not {number}")
    return number


def real(value: Any, name: str) -> float:
    """``value`` itself if it is a number.

    Raises:
        TypeError: it is none (a boolean or a tensor is none).
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    return value  # type: ignore[return-value]


def choice(value: Any, name: str) -> bool:
    """``value`` itself if it is True or False.

    Raises:
        TypeError: it is neither.
    """
    return kind(value, name, bool, "True or False")


def kind(value: T, name: str, wanted: type | tuple[type, ...], words: str) -> T:
    """``value`` itself if it is one of the ``wanted`` types; ``words`` say what that is.

    Raises:
        TypeError: it is of another type.
    """
    if not isinstance(value, wanted):
        raise TypeError(f"{name} must be {words}, not {type(value).__name__}")
    return value
