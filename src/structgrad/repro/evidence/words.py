"""What machines say of records: the words of attestations, and one verdict of several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from structgrad.files import sha256
from structgrad.repro.evidence.attestations import Attestation, AttestationError, load, paths_of
from structgrad.repro.planning.paths import results

WORST_FIRST = ("conflict", "equal", "identical", "undecided")


@dataclass(frozen=True)
class Word:
    """What one machine says of one record: a verdict, why, and the metrics that differ.

    ``emulated``: whether that machine is one, or was told to pass for it.
    """

    shard: str
    verdict: str
    why: str
    record_by: str
    again_by: str
    emulated: bool
    moved: Sequence[Mapping[str, Any]]
    where: str


def words_of(scale: str, found: Attestation, apart: list[tuple[str, str]]) -> Iterator[Word]:
    """What an attestation says of the records that are here; of others it is noted ``apart``, and why."""
    if found.predicate["scale"] != scale:
        apart.append((str(found.path), f"of scale {found.predicate['scale']}"))
        return
    emulated = bool(found.predicate["by"]["told_to_be"])
    for (name, digest), one in zip(found.subjects, found.outcomes, strict=True):
        path = results(scale) / name
        if not path.is_file() or sha256(path) != digest:
            why = "another record than is here" if path.is_file() else "there is no such record here"
            apart.append((f"{found.path}: {one['shard']}", why))
            continue
        by = one["processor"], found.processor
        yield Word(one["shard"], one["verdict"], one["why"], *by, emulated, one["moved"], str(found.path))


def words_here(scale: str) -> list[Word]:
    """What the attestations of a scale say; what is damaged or of other records is the audit's to name."""
    words, apart = [], []
    for path in paths_of(scale):
        try:
            words += words_of(scale, load(path), apart)
        except AttestationError:
            continue
    return words


def together(words: Iterable[Word]) -> Mapping[str, str]:
    """One verdict for each shard: the worst of what machines say, where one of them could decide.

    An emulated machine is none: what it says does not count.
    """
    said: dict[str, set[str]] = {}
    for word in words:
        if not word.emulated:
            said.setdefault(word.shard, set()).add(word.verdict)
    return {shard: next(verdict for verdict in WORST_FIRST if verdict in own) for shard, own in sorted(said.items())}
