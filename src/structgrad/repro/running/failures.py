"""Why shards of a run have no record: from the cluster, what the job wrote down, and the logs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from structgrad.repro.planning.paths import project_root, results
from structgrad.repro.planning.plan import Plan
from structgrad.repro.planning.shard import Shard
from structgrad.repro.running import outcomes, packs
from structgrad.repro.running.cluster.controller import said
from structgrad.repro.running.journal import last_line
from structgrad.repro.running.stopping import OUT_OF_TIME

SHOWN = 160  # characters of a log's line


def log_of(scale: str, job: str) -> Path:
    """The log of all attempts of a job, one after the other."""
    return results(scale) / "logs" / "train" / f"{job}.attempts.log"


def reasons(plan: Plan, missing: Collection[Shard], begun: Collection[Shard]) -> Mapping[Shard, str]:
    """Why shards failed: what the cluster says of their job, the last word of their log, and where that log is.

    Of the ``missing`` those failed whose training has ``begun``, and all shards of a job that came to none of its own;
    the others wait.
    """
    jobs = {shard: pack.name for pack in _packs(plan) for shard in pack.shards}
    reached = {jobs.get(shard) for shard in begun}
    told = {}
    for shard in missing:
        job = jobs.get(shard)
        if shard in begun:
            told[shard] = _joined(_of_cluster(plan.scale, job), last_line(shard), shard.log)
        elif job is not None and job not in reached and _began(plan.scale, job):
            log = log_of(plan.scale, job)
            told[shard] = _joined(_of_cluster(plan.scale, job) or _ended(plan.scale, job), _last_word(log, shard), log)
    return told


def _packs(plan: Plan) -> list[packs.Pack]:
    return packs.frozen(plan)[0] if packs.begun(plan.scale) else []


def _joined(how: str, word: str, log: Path) -> str:
    return "; ".join(part for part in (how, word, str(log.relative_to(project_root()))) if part)


def _began(scale: str, job: str) -> bool:
    return outcomes.last(scale, job) is not None or _submitted(scale, job) is not None


def _of_cluster(scale: str, job: str | None) -> str:
    """What became of the last attempt of a job on a cluster; nothing where it ran on none."""
    if job is None:
        return ""
    last = outcomes.last(scale, job)
    number = last.slurm if last else _submitted(scale, job)
    if number is None:
        return ""
    where, how = f"Slurm job {number}: {_of_slurm(number)}", _ended(scale, job)
    return f"{where}, {how}" if how else where


def _ended(scale: str, job: str) -> str:
    """How the process of the last attempt ended, where it came to an end."""
    last = outcomes.last(scale, job)
    if last is None or last.code is None:
        return ""
    return "handed back, a checkpoint waits" if last.code == OUT_OF_TIME else f"exit code {last.code}"


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


def _submitted(scale: str, job: str) -> str | None:
    """The number of a job that this run submitted and that never came to our part: the name of its log."""
    logs = (project_root() / ".snakemake" / "slurm_logs" / f"rule_train_{job}").rglob("*.log")
    newest = max(logs, key=lambda path: path.stat().st_mtime, default=None)
    return newest.stem if newest and newest.stat().st_mtime >= packs.since(scale) else None


def _last_word(log: Path, shard: Shard) -> str:
    """What a log says of the shard at the end, or at the end of all."""
    written: list[str] = []
    with suppress(OSError):
        written = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    own = [line for line in written if line.startswith(f"structgrad: {shard.id}: ")]
    return (own or written or [""])[-1][:SHOWN]
