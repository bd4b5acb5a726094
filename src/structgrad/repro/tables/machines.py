"""What changes from machine to machine: the section of ``results/summary.md`` that the attestations make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from structgrad.experiments import REGISTRY
from structgrad.repro.evidence.attestations import VERDICTS
from structgrad.repro.evidence.words import Word, together, words_here


def between_machines(scales: Iterable[str]) -> list[str]:
    """Lines of Markdown: of each table, how many records came out alike on which processors; none without any."""
    rows = []
    for scale in scales:
        groups: dict[tuple[str, str, str], list[Word]] = {}
        for word in words_here(scale):
            if word.shard.partition("/")[0] in REGISTRY:
                groups.setdefault((_table(word), word.record_by, word.again_by), []).append(word)
        for (table, ours, theirs), words in sorted(groups.items()):
            counts = Counter(together([_real(word) for word in words]).values())
            counted = " | ".join(str(counts[verdict] or "") for verdict in VERDICTS)
            rows.append(f"| {table} | {scale} | {ours} | {theirs} | {counted} | {_largest(words)} |")
    if not rows:
        return []
    return [
        "## Between machines",
        "",
        "Records that were trained anew, or that another machine has made too, beside the committed ones: the same to",
        "the bit, equal within the level that the record promises, undecided (one replica, other bits) or in conflict",
        "([docs/trust.md](../docs/trust.md)). A machine that is emulated says so, and is no other kind of processor.",
        "",
        f"| table | scale | record made on | again on | {' | '.join(VERDICTS)} | largest difference |",
        "|---|---|---|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def _table(word: Word) -> str:
    experiment = REGISTRY[word.shard.partition("/")[0]]
    return f"{experiment.paper} {experiment.heading}"


def _real(word: Word) -> Word:
    """As it is counted in a row that says which machine spoke."""
    return Word(**{**vars(word), "emulated": False})


def _largest(words: Sequence[Word]) -> str:
    """Of a metric over a record's replicas, measured by the metric's margin, or in its unit where it has none."""
    found = []
    for word in words:
        metrics = {metric.name: metric for metric in REGISTRY[word.shard.partition("/")[0]].metrics}
        for one in (one for one in word.moved if one["metric"] in metrics):
            apart = one["now"] - one["before"]
            size = abs(apart) / (metrics[one["metric"]].margin or 1.0)
            found.append((size, f"{apart:+.2g} {one['unit']} ({one['metric']})"))
    return max(found)[1] if found else "none"
