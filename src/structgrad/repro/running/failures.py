"""Why jobs of a run failed: one line a shard, from what the job wrote down, the cluster and the job's log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from structgrad.repro.planning.paths import project_root, results
from structgrad.repro.planning.plan import Plan
from structgrad.repro.planning.shard import Shard
from structgrad.repro.running import outcomes, packs
from structgrad.repro.running.cluster.controller import said
from structgrad.repro.running.stopping import OUT_OF_TIME

SHOWN = 160  # characters of a log's line


def log_of(scale: str, job: str) -> Path:
    """The log of all attempts of a job, one after the other."""
    return results(scale) / "logs" / "train" / f"{job}.attempts.log"


def lines(plan: Plan) -> Iterator[str]:
    """One line for every shard of the run's jobs that has no record; none where it did not come to its jobs."""
    for pack in packs.frozen(plan)[0] if packs.begun(plan.scale) else ():
        missing = [shard for shard in pack.shards if not shard.path.is_file()]
        if missing:
            reason, log = _reason(plan.scale, pack.name), log_of(plan.scale, pack.name)
            for shard in missing:
                word = _last_word(log, shard)
                yield f"{shard.id}: {reason}" + (f"; {log.relative_to(project_root())}: {word}" if word else "")


def _reason(scale: str, job: str) -> str:
    last = outcomes.last(scale, job)
    number = last.slurm if last else _submitted(job)
    if last is None and number is None:
        return "was not begun"
    where = f"Slurm job {number}: {_of_slurm(number)}" if number else ""
    if last is None:
        return where
    if last.code is None:
        return where or f"was killed on {last.host}"
    how = "handed back, a checkpoint waits" if last.code == OUT_OF_TIME else f"exit code {last.code}"
    return f"{where}, {how}" if where else how


@cache
def _of_slurm(number: str) -> str:
    """State and reason of a job, from the controller or the accounting."""
    asked = (
        ("squeue", "--noheader", "--states=all", f"--jobs={number}", "--format=%T (%r)"),
        ("sacct", "--noheader", "--allocations", "--parsable2", f"--jobs={number}", "--format=State,Reason"),
    )
    for words in asked:
        answer = (said(*words) or "").strip()
        if answer:
            return answer.splitlines()[0].replace(" (None)", "").removesuffix("|None").replace("|", ", ")
    return "the cluster does not know it any more"


def _submitted(job: str) -> str | None:
    """The number of a job that was submitted and never came to our part: the name of its log."""
    logs = (project_root() / ".snakemake" / "slurm_logs" / f"rule_train_{job}").rglob("*.log")
    newest = max(logs, key=lambda path: path.stat().st_mtime, default=None)
    return newest.stem if newest else None


def _last_word(log: Path, shard: Shard) -> str:
    """What a log says of the shard at the end, or at the end of all."""
    written: list[str] = []
    with suppress(OSError):
        written = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    own = [line for line in written if line.startswith(f"structgrad: {shard.id}: ")]
    return (own or written or [""])[-1][:SHOWN]
