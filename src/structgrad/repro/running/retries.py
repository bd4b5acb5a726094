"""Whether a job that failed is tried again: for as long as it gets on, and never where a person has to mend something.

Snakemake's ``retries`` is a number of attempts. That is too many for a mistake in what was asked, which fails each
time, and too few for a job that a cluster preempts every hour and that goes on from its checkpoint each time.
"""

from __future__ import annotations

from collections.abc import Callable

from structgrad.repro.planning.paths import work
from structgrad.repro.running import outcomes
from structgrad.repro.running.packs import Pack

FINAL = 2  # the exit code of a mistake in what was asked


class Retries(int):
    """A number of retries for Snakemake, which asks ``retries > failures before this one`` when a job has failed.

    The answer is no where the job ended with exit code 2. It is yes where its checkpoint, or what it has finished, is
    another than at the failure before, and else as often in a row as ``allowed`` says, which is asked when a job has
    failed: while rules are made Snakemake does not know it yet.
    """

    def __new__(cls, pack: Pack, allowed: Callable[[], int]) -> Retries:
        retries = super().__new__(cls, 1)
        retries.pack, retries.allowed = pack, allowed
        retries.seen, retries.without = retries._advance(), 0
        return retries

    def __init__(self, pack: Pack, allowed: Callable[[], int]) -> None:
        self.pack: Pack
        self.allowed: Callable[[], int]
        self.seen: list[tuple[str, int]]
        self.without: int  # failures in a row in which it did not get on

    def __gt__(self, _: object) -> bool:
        last = outcomes.last(self.pack.shards[0].scale, self.pack.name)
        if last is not None and last.code == FINAL:
            return False
        advance = self._advance()
        self.without = 0 if advance != self.seen else self.without + 1
        self.seen = advance
        return 0 < self.allowed() >= self.without

    def _advance(self) -> list[tuple[str, int]]:
        """The checkpoints and finished records of the job, and when each was written."""
        folders = [work() / shard.scale / shard.id for shard in self.pack.shards]
        return [(str(path), path.stat().st_mtime_ns) for folder in folders for path in sorted(folder.glob("*.*"))]
