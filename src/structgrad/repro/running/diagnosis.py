"""What the doctor says of one thing that it looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from structgrad.repro.planning.plan import Plan


@dataclass(frozen=True)
class Diagnosis:
    """What was looked at, how it stands, what was seen, and what to do where it is not well."""

    what: str
    state: Literal["ok", "warn", "fail"]
    seen: str
    advice: str = ""


Question = Callable[[Plan], Iterator[Diagnosis]]
