"""The generated parts of ``docs/artifact.md``: what each table and claim costs, on what, and what must come out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from structgrad.experiments import REGISTRY
from structgrad.repro.evidence.attestations import processor_of
from structgrad.repro.evidence.records import peek
from structgrad.repro.judging.summary import FAITHFUL, Answer
from structgrad.repro.planning.paths import results
from structgrad.repro.tables.summary import counted

HEADS = ("what", "scale", "`--set`", "records", "minutes of a core", "the longest", "memory, MB", "disk, MB", "made on",
         "must come out")  # fmt: skip


@dataclass(frozen=True)
class Made:
    """What a record says of how it was made."""

    scale: str
    experiment: str
    mark: str
    run: Mapping[str, Any]
    libraries: Mapping[str, str]
    size: int


def artifact_parts(answers: Sequence[Answer]) -> dict[str, str]:
    """What stands between the marks of each name."""
    made = list(_made())
    return {
        "artifact tables": "\n".join(_tables(made, answers)) + "\n",
        "artifact claims": "\n".join(_claims(made)) + "\n",
        "artifact machines": "\n".join(_machines(made)) + "\n",
    }


def _made() -> Iterator[Made]:
    for scale in FAITHFUL:
        folder = results(scale) / "records"
        for path in sorted(folder.rglob("*.json")):
            experiment, mark = path.relative_to(folder).parts[0], peek(path, "digest")[:12]
            libraries = peek(path, "provenance")["libraries"]
            yield Made(scale, experiment, mark, peek(path, "run"), libraries, path.stat().st_size)


def _tables(made: Sequence[Made], answers: Sequence[Answer]) -> Iterator[str]:
    yield f"| {' | '.join(HEADS)} |"
    yield f"|{'---|' * len(HEADS)}"
    for name, experiment in REGISTRY.items():
        for scale in FAITHFUL:
            own = [one for one in made if (one.experiment, one.scale) == (name, scale)]
            if not own:
                continue
            told = [a for a in answers if a.cell and a.cell.experiment.name == name and a.cell.scale == scale]
            out = counted(told) or f"its tables and figures ({experiment.stem}); it judges no printed number"
            what = f"{experiment.paper} {experiment.heading} | {scale} | `experiments=[{name}]`"
            yield f"| {what} | {len(own)} | {_cost(own)} | {out} |"


def _cost(own: Sequence[Made]) -> str:
    """Minutes of a core, those of the longest record, memory, disk, and the processors."""
    seconds = [one.run["seconds"] for one in own]
    memory = max(one.run["peak_memory_mb"] for one in own)
    kinds = ", ".join(sorted({processor_of(one.run["hardware"]) for one in own}))
    disk = sum(one.size for one in own) / 1e6
    return f"{sum(seconds) / 60:.0f} | {max(seconds) / 60:.1f} | {memory:.0f} | {disk:.1f} | {kinds}"


def _claims(made: Sequence[Made]) -> Iterator[str]:
    judged: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for scale in FAITHFUL:
        path = results(scale) / "claims.json"
        for claim in json.loads(path.read_text(encoding="utf-8"))["claims"] if path.is_file() else ():
            known = judged.get(claim["id"])
            if known is None or (claim["records"] and not known[1]["records"]):
                judged[claim["id"]] = scale, claim
    seconds = {(one.scale, one.mark): one.run["seconds"] for one in made}
    asked = [(scale, claim) for scale, claim in judged.values() if claim["of"] == "paper"]
    counts = Counter(claim["verdict"] for _, claim in asked)
    told = ", ".join(f"{count} {verdict.replace('_', ' ')}" for verdict, count in sorted(counts.items()))
    yield f"Of {len(asked)} claims of the papers: {told}. Those that have records:"
    yield ""
    yield "| claim | scale | minutes of a core for its records | must come out |"
    yield "|---|---|---|---|"
    for scale, claim in asked:
        marks = [mark for mark in claim["records"] if (scale, mark) in seconds]
        if marks:
            minutes, verdict = sum(seconds[scale, mark] for mark in marks) / 60, claim["verdict"].replace("_", " ")
            yield f"| {claim['id']} | {scale} | {minutes:.0f} | {verdict}: {claim['reason']} |"


def _machines(made: Sequence[Made]) -> Iterator[str]:
    kinds = Counter(
        (
            one.run["hardware"].get("system", "unknown"),
            one.run["hardware"].get("machine", "unknown"),
            processor_of(one.run["hardware"]),
            one.run["device"],
            one.libraries.get("python", "unknown"),
            one.libraries.get("torch", "unknown"),
        )
        for one in made
    )
    yield "| system | machine | processor | device | Python | torch | records |"
    yield "|---|---|---|---|---|---|---|"
    for kind, count in sorted(kinds.items()):
        yield f"| {' | '.join(kind)} | {count} |"
