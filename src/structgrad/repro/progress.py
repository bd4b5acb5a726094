"""What a long command is doing and how far it is, on stderr: a bar on a terminal, a line a stage elsewhere.

Whatever takes more than a moment opens a :func:`stage`. Nothing is said until a command asks for it (:func:`speaking`),
so that sources that use ``repro`` as a library hear nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

DELAY = 0.5  # seconds after which a bar appears; what is done before needs none

_heard: list[bool] = []  # whether the commands at work may be heard; a command may call another
_open: list[Any] = []  # the bars of the stages at work, outermost first; None where none is drawn


@contextmanager
def speaking(lines: bool = True) -> Iterator[None]:
    """Say how far the stages inside are. Without ``lines`` (JSON for a machine) only where somebody sees a bar."""
    _heard.append(lines or sys.stderr.isatty())
    try:
        yield
    finally:
        _heard.pop()


@contextmanager
def stage(what: str, total: int | None = None, unit: str = "steps") -> Iterator[Callable[[], None]]:
    """One stage of a command, of ``total`` units where that is known; gives what to call after each of them.

    A stage inside another shows in the outer one's bar.
    """
    if not (_heard and _heard[-1]):
        yield lambda: None
        return
    if not sys.stderr.isatty():
        number = f" ({total} {unit})" if total is not None else ""
        print(f"{what}{number}", file=sys.stderr, flush=True)
        yield lambda: None
        return
    drawn = _Inner(_open[0], what, total) if _open else _bar(what, total, unit)
    _open.append(drawn)
    try:
        yield drawn.update
    finally:
        _open.pop()
        drawn.close()


def _bar(what: str, total: int | None, unit: str) -> Any:
    from tqdm import tqdm

    if total is None:
        return tqdm(desc=f"{what} ...", bar_format="{desc}{postfix}", leave=False)
    return tqdm(desc=what, total=total, unit=f" {unit}", leave=False, delay=DELAY, dynamic_ncols=True)


class _Inner:
    """A stage in another's bar: its name and count stand behind it."""

    def __init__(self, outer: Any, what: str, total: int | None) -> None:
        self.outer, self.what, self.total, self.count = outer, what, total, 0
        self._show()

    def update(self) -> None:
        self.count += 1
        self._show()

    def close(self) -> None:
        self.outer.set_postfix_str("", refresh=False)

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        self.outer.set_postfix_str(text, refresh=refresh)

    def _show(self) -> None:
        far = f" {self.count}/{self.total}" if self.total is not None else ""
        self.outer.set_postfix_str(f"{self.what}{far}", refresh=False)
        self.outer.refresh()
