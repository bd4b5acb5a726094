"""A catalogue of ways to tamper with finished results, each with a word of the finding that must name it.

Three attackers try them: who edits a file, who then mends the manifest, and who seals a changed record anew and
rebuilds all that is derived. ``docs/trust.md`` counts them; ``tests/unit/repro/audit/test_tampering.py`` tries them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

EDITS, MENDS, REBUILDS = "edits a file", "mends the manifest, too", "rebuilds everything"
RECORD, OTHER = "records/indelman_1a/d=5/direct.0-2.json", "records/indelman_1a/d=5/no_solver.0-2.json"
DATA = "data/indelman_1a.json"
PERFECT, WRONG, HUNDRED = "percent_sequences_perfect", "prop_wrong_mean", "percent_sequences_perfect_100"
Record = dict[str, Any]


@dataclass(frozen=True)
class Mutation:
    """One way.

    Attributes:
        kind: the row of the page that counts it.
        said: a part of the finding, from whoever rebuilds everything where it is of a record's content.
        record: what it changes in a record's content; then the third attacker tries it, too.
        files: what it does to the folder of results.
        tries: who tries it, of those that mend no record.
    """

    kind: str
    said: str
    record: Callable[[Record], None] | None = None
    files: Callable[[Path], Any] | None = None
    tries: tuple[str, ...] = (EDITS, MENDS)

    @property
    def attackers(self) -> tuple[str, ...]:
        """Who tries it."""
        return (EDITS, MENDS, REBUILDS) if self.record else self.tries


def put(*path: Any) -> Callable[[Record], None]:
    """Set the value at a path of keys; None takes it out."""
    *way, last, value = path

    def change(record: Record) -> None:
        place: Any = record
        for key in way:
            place = place[key]
        if value is None:
            del place[last]
        else:
            place[last] = value

    return change


def text(change: Callable[[str], str], name: str = RECORD) -> Callable[[Path], None]:
    """Change a file's text; half a surrogate pair stands for a byte that is none."""

    def tamper(folder: Path) -> None:
        before = (folder / name).read_bytes().decode()
        after = change(before)
        assert after != before, f"{name} has nothing to change"
        (folder / name).write_bytes(after.encode("utf-8", "surrogateescape"))

    return tamper


def replaced(old: str, new: str, name: str = RECORD) -> Callable[[Path], None]:
    """Another text in the place of the first of its kind."""
    return text(lambda whole: whole.replace(old, new, 1), name)


def instead(put_there: Callable[[Path, Path], None], name: str) -> Callable[[Path], None]:
    """Something else in a file's place; the file is moved out of the results."""

    def tamper(folder: Path) -> None:
        aside = folder.parent.parent / "aside"
        (folder / name).rename(aside)
        put_there(folder / name, aside)

    return tamper


def added(name: str, content: str = "Everything reproduces.") -> Callable[[Path], None]:
    """One file more."""

    def tamper(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")

    return tamper


def gone(name: str) -> Callable[[Path], None]:
    """One file less."""
    return lambda folder: (folder / name).unlink()


def after(seconds: float) -> str:
    """A moment from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def of_every_result(change: Callable[[Record], None]) -> Callable[[Record], None]:
    """The same change of each replica's result."""

    def changes(record: Record) -> None:
        for result in record["results"]:
            change(result)

    return changes


def stolen(record: Record) -> None:
    """The curves and results of the other arm, whose names stay."""
    theirs = json.loads((_here(record) / OTHER).read_text(encoding="utf-8"))
    record["history"], record["results"] = theirs["history"], theirs["results"]


def _here(record: Record) -> Path:
    return Path(os.environ["STRUCTGRAD_ROOT"]) / "results" / record["scale"]


def swapped(record: Record) -> None:
    """The results of two replicas exchanged, each under the other's number."""
    first, second, *_ = record["results"]
    first["metrics"], second["metrics"] = second["metrics"], first["metrics"]


def invented(record: Record) -> None:
    """Better results that agree with each other and with the curves."""
    for result in record["results"]:
        of = result["metrics"]
        of[PERFECT]["successes"] = of[PERFECT]["trials"]
        of[WRONG] |= {"sum": 0.0, "sum_squares": 0.0}


def _metrics() -> Iterator[tuple[str, Callable[[Record], None]]]:
    at = ("results", 0, "metrics")
    yield "leaves none wrong, but", put(*at, PERFECT, "successes", 0)
    yield "a sum of 0.4 is impossible with 1 of 1", put("results", 2, "metrics", WRONG, "sum", 0.4)
    yield "over 200 items, where extra_test_sequences is 100", put(*at, HUNDRED, "trials", 200)
    yield "over 2 items, where test_sequences", put(*at, PERFECT, {"successes": 2, "trials": 2})
    yield f"{HUNDRED} is there for some replicas", put("results", 1, "metrics", HUNDRED, None)
    yield "metrics: not those of its arm's", of_every_result(put("metrics", HUNDRED, None))
    yield "no mean", put("results", 1, "metrics", WRONG, {"successes": 0, "trials": 1})
    yield "cannot be", put(*at, PERFECT, "successes", 2)
    yield "cannot be", put("results", 1, "metrics", WRONG, "sum_squares", 0.01)
    yield "there is no metric better", put(*at, "better", {"successes": 1, "trials": 1})
    yield "not one", put("results", 1, "replica", 7)


def _curves() -> Iterator[tuple[str, Callable[[Record], None]]]:
    yield "history.epoch: ends at 57, the longest training at 90", put("results", 0, "epochs", 90)
    yield "history.active: 3 at epoch 57", put("results", 0, "epochs", 40)
    yield "5000 epochs, at most 2000 were allowed", put("results", 0, "epochs", 5000)
    yield "stopped by max_epochs after 57 of 2000 epochs", put("results", 0, "stopped", "max_epochs")
    yield "untrained after 57 epochs", put("results", 0, "stopped", "untrained")
    yield "history: its curves have different lengths", put("history", "loss", [0.5])
    yield "history.epoch: does not grow", put("history", "epoch", [57.0, 57.0])
    yield "history.active: 2 at epoch 1", put("history", "active", [2.0, 3.0])
    yield "history: has no epoch", put("history", "epoch", None)
    yield "the same curves and results as", stolen


def _config() -> Iterator[tuple[str, Callable[[Record], None]]]:
    yield "stopped by patience after 57 epochs", put("config", "patience", 57)
    yield "config.hidden: trained with 33", put("config", "hidden", 33)
    yield "config.max_epochs: trained with 1999", put("config", "max_epochs", 1999)
    yield "no data can be made from its config and seeds", put("config", "luck", 1)
    yield "no data can be made from its config and seeds", put("config", "hidden", None)
    yield "no data can be made from its config and seeds", put("config", "hidden", "many")


def _names() -> Iterator[tuple[str, Callable[[Record], None]]]:
    yield "arm: says 'no_solver'", put("arm", "no_solver")
    yield "setting: says 'd=10'", put("setting", "d=10")
    yield "scale: says 'desktop'", put("scale", "desktop")
    yield "experiment: says 'indelman_1b'", put("experiment", "indelman_1b")
    yield "id: says", put("id", "indelman_1a/d=5/direct/0-1")
    yield "replicas: says", put("replicas", "count", 4)
    yield "seeds.data, replica 2: 7", put("seeds", "data", 2, 7)
    yield "seeds.noise, replica 0: 7", put("seeds", "noise", 0, 7)
    yield "seeds: not those of its arm's", put("seeds", "noise", None)
    yield "seeds.luck", put("seeds", "luck", [1, 2, 3])
    yield "2 seeds for 3 replicas", put("seeds", "noise", [1, 2])


def _origins() -> Iterator[tuple[str, Callable[[Record], None]]]:
    yield "provenance.command: 'structgrad run cheat'", put("provenance", "command", "structgrad run cheat")
    yield "000000000000 is not in this history", put("provenance", "git_commit", "0" * 40)
    yield "provenance.lock_digest: not that", put("provenance", "lock_digest", "0" * 64)
    yield "provenance.source_digest: 000000000000", put("provenance", "source_digest", "0" * 64)
    yield "provenance.data_digest: 000000000000", put("provenance", "data_digest", "0" * 64)
    yield "torch 2.9.0, but requirements.lock in", put("provenance", "libraries", "torch", "2.9.0")
    yield "torch missing, but requirements.lock in", put("provenance", "libraries", "torch", None)
    yield "level: says 3", put("level", 3)


def _runs() -> Iterator[tuple[str, Callable[[Record], None]]]:
    yield "before it started", put("run", "started", after(90))
    yield "run.seconds: 600, but", put("run", "seconds", 600.0)
    yield "is in the future", put("run", "finished", after(86400))
    yield "are no two times", put("run", "finished", "yesterday")
    yield "are no two times", put("run", "started", "2025-01-01T00:00:00")
    yield "before its commit was made", put("run", "started", "2025-01-01T00:00:00Z")
    yield "run.device: cuda, on a machine without a GPU", put("run", "device", "cuda")
    yield "run.device: cpu, on a machine with a GPU", put("run", "hardware", "gpu", "made up")
    yield "promises 2 on cpu of aarch64", put("run", "hardware", "machine", "aarch64")


def _texts() -> Iterator[tuple[str, Callable[[Path], None]]]:
    yield "not written as a record is", text(lambda whole: whole.replace("\n", "\r\n"))
    yield "not written as a record is", text(lambda whole: whole.replace(": ", ":"))
    yield "not written as a record is", text(lambda whole: whole + "\n")
    yield "not written as a record is", text(lambda whole: " " + whole)
    yield "not written as a record is", replaced("direct", "d\\u0069rect")
    yield "3.0 is not of type 'integer'", replaced('"count": 3', '"count": 3.0')
    yield "'count' stands there twice", replaced('"count": 3', '"count": 9, "count": 3')
    yield "not a finite number", replaced("60.0", "1e400")
    yield "not a finite number", replaced("60.0", "NaN")
    yield "half of a surrogate pair", replaced('"made up"', '"\\ud800"')
    yield "levels deep", replaced('"made up"', "[" * 70 + "]" * 70)
    yield "not JSON", text(lambda whole: "\ufeff" + whole)
    yield "not JSON", text(lambda whole: whole[: len(whole) // 2])
    yield "not JSON", text(lambda whole: "")
    yield "not UTF-8", text(lambda whole: whole + "\udcff")


def _places() -> Iterator[tuple[str, Callable[[Path], None]]]:
    for name in (RECORD, "tables/indelman_1a.csv", "figures/indelman_1a.svg", "report.html", DATA):
        yield f"{name}: a pipe", instead(lambda path, _: os.mkfifo(path), name)
        yield f"{name}: a symbolic link", instead(lambda path, aside: path.symlink_to(aside), name)
        yield f"{name}: a symbolic link", instead(lambda path, aside: path.symlink_to(aside.with_name("no")), name)
        yield name, instead(lambda path, _: path.mkdir(), name)
    yield "a strange mode for a file", lambda folder: (folder / RECORD).chmod(0o4644)
    yield "a strange mode for a file", lambda folder: (folder / "claims.json").chmod(0o1644)


def _strangers() -> Iterator[tuple[str, Callable[[Path], Any]]]:
    names = (
        "mlflow.db.html", "better.tmp", "logs/report.html", "figures/indelman_1a.png", "figures/more/indelman_1a.svg",
        "tables/more/indelman_1a.csv", "tables/indelman_1a.html.bak", "tables/indelman_9.csv", "data/indelman_9.json",
        "data/indelman_1a/d=5.json", "index.html", ".report.html", "records/better.tmp", "records/notes.txt",
        "mlartifacts/report.html", "mlartifacts/indelman_1a/1/artifacts/record/report.html",
        "records/indelman_1a/d=5/direct.json", "records/indelman_1a/d=6/direct.0-2.json",
    )  # fmt: skip
    for name in names:
        yield f"{name}: stray", added(name)
    yield "'no_solver'", lambda folder: (folder / OTHER).write_bytes((folder / RECORD).read_bytes())
    copy = "records/indelman_1a/d=5/direct.400-401.json"
    yield f"{copy}: stray", lambda folder: (folder / copy).write_bytes((folder / RECORD).read_bytes())


def _taken() -> Iterator[tuple[str, Callable[[Path], None]]]:
    for name in (RECORD, OTHER, DATA):
        yield f"{name}: gone", gone(name)
    for name in ("tables/indelman_1a.tex", "figures/indelman_1a.svg", "claims.json", "report.html"):
        yield f"{name}: missing", gone(name)


def _data() -> Iterator[tuple[str, Callable[[Path], None]]]:
    def digests(change: Callable[[dict[str, str]], None]) -> Callable[[Path], None]:
        def tamper(folder: Path) -> None:
            content = json.loads((folder / DATA).read_text(encoding="utf-8"))
            change(content["digests"])
            (folder / DATA).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

        return tamper

    yield "digests.d=5/0-2: 000000000000", digests(lambda of: of.update({"d=5/0-2": "0" * 64}))
    yield "d=6/0-2 is none of the data sets", digests(lambda of: of.update({"d=6/0-2": "0" * 64}))
    yield "holds no digests", digests(lambda of: of.update({"d=5/0-2": "0" * 63}))
    yield "says other than that it is of indelman_1a", replaced('"indelman_1a"', '"indelman_1b"', DATA)
    yield "says other than that it is of indelman_1a", replaced('"paper"', '"desktop"', DATA)
    yield "not written as `structgrad data make`", replaced("\n", "", DATA)
    yield "stands there twice", replaced('"scale"', '"experiment": "", "scale"', DATA)


def _derived() -> Iterator[tuple[str, Callable[[Path], None]]]:
    yield "says '96.667'", replaced("66.667", "96.667", "tables/indelman_1a.csv")
    for suffix in ("md", "html", "tex"):
        yield f"indelman_1a.{suffix}: line", replaced("66.7", "96.7", f"tables/indelman_1a.{suffix}")
    yield "says '96.667'", replaced("66.667", "96.667", "figures/indelman_1a.csv")
    yield "figures/indelman_1a.svg", replaced(">60<", ">61<", "figures/indelman_1a.svg")
    yield "verdict", replaced('"verdict": "not_attempted"', '"verdict": "supported"', "claims.json")
    yield "report.html: line", replaced("<b>2 <small>of 2", "<b>9 <small>of 2", "report.html")
    yield "its line ends differ", text(lambda whole: whole.replace("\n", "\r\n"), "tables/indelman_1a.csv")


def _manifest() -> Iterator[tuple[str, Callable[[Path], None]]]:
    name = "MANIFEST.sha256"
    yield "stands there twice", text(lambda whole: whole + whole.splitlines(keepends=True)[0], name)
    yield "stands there twice", text(lambda whole: "0" * 64 + whole[64:].split("\n")[0] + "\n" + whole, name)
    yield "line 1: not a digest", text(lambda whole: whole.replace("\n", "\r\n"), name)
    yield "not those that", text(lambda whole: "".join(sorted(whole.splitlines(keepends=True))), name)
    yield "not those that", text(lambda whole: whole.removesuffix("\n"), name)
    yield "not a digest", text(lambda whole: whole + "\n", name)
    yield "not a digest", text(str.upper, name)
    yield "not UTF-8", text(lambda whole: whole + "\udcff\n", name)
    yield "extra", text(lambda whole: whole.partition("\n")[2], name)
    yield "cannot be read", gone(name)
    yield "not a regular file", instead(lambda path, _: os.mkfifo(path), name)


OF_RECORDS = {
    "a record's metrics": _metrics,
    "its curves": _curves,
    "its hyper-parameters": _config,
    "its names and seeds": _names,
    "where it comes from": _origins,
    "its times and its machine": _runs,
}
OF_FILES = {
    "the text of a record": _texts,
    "what lies in a file's place": _places,
    "files too many": _strangers,
    "files too few": _taken,
    "digests of data": _data,
    "what is derived": _derived,
}
CATALOGUE = (
    *(Mutation(kind, said, record=change) for kind, ways in OF_RECORDS.items() for said, change in ways()),
    *(Mutation(kind, said, files=change) for kind, ways in OF_FILES.items() for said, change in ways()),
    *(Mutation("the manifest", said, files=change, tries=(EDITS,)) for said, change in _manifest()),
)
REPLAY = {"two replicas exchanged": swapped, "a record that was made up as a whole": invented}
STORE = (
    ("UPDATE metrics SET value = 99 WHERE key = 'record/percent_sequences_perfect'",
     "metrics: ('record/percent_sequences_perfect', 0) is 99.0, the record gives 66.66"),
    ("UPDATE latest_metrics SET value = 99 WHERE key = 'record/percent_sequences_perfect'",
     "latest metrics: record/percent_sequences_perfect is 99.0"),
    ("UPDATE params SET value = '1' WHERE key = 'hidden'", "params: hidden is '1', the record gives '32'"),
    ("UPDATE tags SET value = 'reproduced' WHERE key = 'verdict.prop_wrong_mean'", "tags: verdict.prop_"),
    ("DELETE FROM metrics WHERE key = 'seconds'", "metrics: ('seconds', 0) is None"),
    ("INSERT INTO metrics SELECT 'better', 1.0, timestamp, run_uuid, 0, 0 FROM metrics WHERE key = 'seconds'",
     "metrics: ('better', 0) is none of the record's"),
    ("UPDATE tags SET value = '0' WHERE key = 'structgrad.file'", "a run of another file"),
    ("UPDATE tags SET value = 'indelman_1a/d=5/cheat/0-2' WHERE key = 'structgrad.record'", "a run of no record"),
    ("DROP TABLE metrics", "not a store of MLflow's"),
)  # fmt: skip


def page() -> list[str]:
    """The lines of the table in ``docs/trust.md``."""
    lines = [f"| changed | ways | who {EDITS} | who {MENDS} | who {REBUILDS} |", "|---|--:|--:|--:|--:|"]
    kinds = dict.fromkeys(mutation.kind for mutation in CATALOGUE)
    rows = {kind: [mutation for mutation in CATALOGUE if mutation.kind == kind] for kind in kinds}
    rows["together"] = list(CATALOGUE)
    for kind, ways in rows.items():
        tried = [sum(who in way.attackers for way in ways) for who in (EDITS, MENDS, REBUILDS)]
        lines.append(f"| {kind} | {len(ways)} | {' | '.join(str(count or '-') for count in tried)} |")
    return lines
