"""Levels of reproducibility: what each promises to whoever trains a record again, and which one a record may carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from structgrad.experiments.base import Experiment, Level

MEANINGS: Mapping[int, str] = {
    1: "the same bits on any x86-64 machine with AVX2",
    2: "the same bits on one machine, close on others",
    3: "statistically equal",
}


def expected(experiment: Experiment, run: Mapping[str, Any]) -> Level:
    """The level of a record whose ``run`` part is that: what the experiment declares, on that device and machine."""
    return experiment.level_on(run["device"], run["hardware"].get("machine", "unknown"))


def weakest(records: Sequence[Mapping[str, Any]]) -> int | None:
    """What all the records promise; None where there are none or one of them promises nothing."""
    levels = [record["level"] for record in records if "level" in record]
    return max(levels) if levels and len(levels) == len(records) else None


def promise(experiment: Experiment, records: Sequence[Mapping[str, Any]]) -> str:
    """One line: the level that what is made of the records has, and what it means, or why there is none."""
    level = weakest(records)
    if level is not None:
        several = sorted({record["level"] for record in records})
        beside = f", the weakest of its records' ({', '.join(map(str, several))})" if len(several) > 1 else ""
        return f"{level}{beside}: {MEANINGS[level]}"
    older = sum("level" not in record for record in records)
    why = f"{older} of {counted(len(records))} made before levels were declared" if records else "no record yet"
    return f"none, {why}; {experiment.name} declares {experiment.level} ({MEANINGS[experiment.level]})"


def counted(count: int) -> str:
    """``1 record``, ``2 records``."""
    return f"{count} record{'s' if count != 1 else ''}"
