"""``results/summary.csv`` and ``summary.md``: one line per printed number of the papers, and what became of it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from structgrad.experiments import PAPERS
from structgrad.files import write_bytes
from structgrad.repro.factors.pages import page_behind
from structgrad.repro.judging.numbers import MORE_DIGITS, fixed
from structgrad.repro.judging.summary import FAITHFUL, Answer, Outside, best_evidence, outside, tally
from structgrad.repro.judging.verdicts import APART, OUTCOMES
from structgrad.repro.planning.paths import project_root
from structgrad.repro.tables.comma_separated import comma_separated
from structgrad.repro.tables.machines import between_machines

COLUMNS = (
    "paper", "table", "row", "column", "metric", "unit", "published", "published_spread",
    "value", "ci_low", "ci_high", "n", "verdict", "equivalent", "difference_low", "difference_high", "margin",
    "first_verdict", "after_results", "scale", "seconds",
    "replicas_wanted", "hours_wanted", "cell", "improve", "why", "records",
)  # fmt: skip


def summary_paths() -> tuple[Path, Path]:
    """Where the csv and the Markdown lie."""
    folder = project_root() / "results"
    return folder / "summary.csv", folder / "summary.md"


def build_summary(answers: Sequence[Answer]) -> dict[Path, bytes]:
    """Both files and their content, without writing any."""
    texts = comma_separated(COLUMNS, map(csv_row, answers)), to_markdown(answers)
    return {path: text.encode("utf-8") for path, text in zip(summary_paths(), texts, strict=True)}


def write_summary(answers: Sequence[Answer] | None = None) -> list[Path]:
    """Write :func:`build_summary` and return the paths."""
    contents = build_summary(best_evidence() if answers is None else answers)
    for path, content in contents.items():
        write_bytes(path, content)
    return list(contents)


def verdicts_on_file() -> list[tuple[str, str]]:
    """Paper and verdict of every printed number as ``summary.csv`` has them; nothing where it is not there."""
    path = summary_paths()[0]
    if not path.is_file():
        return []
    return [(row["paper"], row["verdict"]) for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())]


def csv_row(answer: Answer) -> list[str]:
    """An answer's line under :data:`COLUMNS`."""
    cell, published = answer.cell, answer.published
    head = [answer.paper, answer.table, answer.row, answer.column, answer.metric, published.unit, published.text]
    head.append(published.spread_text)
    if cell is None:
        return [*head, "", "", "", "0", answer.verdict, *[""] * (len(COLUMNS) - len(head) - 5)]
    ours, judgement, digits = cell.estimate, cell.judgement, cell.metric.digits + MORE_DIGITS
    return [
        *head,
        *(fixed(getattr(ours, part, None), digits) for part in ("value", "low", "high")),
        str(ours.n if ours else 0),
        judgement.verdict,
        "yes" if judgement.equivalent else "",
        *(fixed(getattr(judgement.difference, end, None), digits) for end in ("low", "high")),
        f"{cell.metric.margin:g}",
        judgement.first,
        "yes" if answer.after_results else "",
        cell.scale if ours else "",
        "" if answer.seconds is None else f"{answer.seconds:.0f}",
        str(judgement.wanted or ""),
        "" if answer.hours_wanted is None else f"{answer.hours_wanted:.2f}",
        cell.id,
        improve(answer),
        why(answer),
        " ".join(piece.mark for piece in cell.evidence),
    ]


def improve(answer: Answer) -> str:
    """What would bring an answer nearer to being settled; empty where nothing would."""
    cell = answer.cell
    if cell is None or answer.settled or answer.verdict == "misprint":
        return ""
    more, scale = "", "paper"
    if answer.verdict == "no_data":
        more = "its data (structgrad explain says how to get it), then "
    if answer.verdict == "inconclusive":
        if cell.judgement.wanted is None:
            return ""
        more, scale = f"replicas: {cell.judgement.wanted} in workflow/scales/{cell.scale}.yaml, then ", cell.scale
    return (
        f"{more}structgrad reproduce --scale {scale} --set 'experiments=[{cell.experiment.name}]' "
        f"--set 'settings=[{cell.setting}]' --set 'arms=[{cell.arm.name}]'"
    )


def why(answer: Answer) -> str:
    """Where a difference is explained by experiment, from the folder of the summary; empty where it is not, or where
    there is none to explain.
    """
    if answer.cell is None or answer.verdict not in APART:
        return ""
    page = page_behind(answer.cell)
    return f"factors/{page.name}" if page else ""


def counted(answers: Iterable[Answer]) -> str:
    """Such as ``155 reproduced (28 equivalent), 42 inconclusive, 8 differing``; verdicts without any are left out."""
    answers = list(answers)
    by, parts = tally(answers), []
    strong = sum(bool(answer.cell and answer.cell.judgement.equivalent) for answer in answers)
    for name, verdict in OUTCOMES.items():
        if by[name]:
            parts.append(f"{by[name]} {verdict.words}" + (f" ({strong} equivalent)" if name == "reproduced" else ""))
    return ", ".join(parts)


def multiplicity(counts: Outside) -> str:
    """How many lie outside, and how many chance would leave there; how many readings came after results."""
    late = f"; {counts.after_results} are by a reading that was fixed after results" if counts.after_results else ""
    return (
        f"{counts.outside} of the {counts.compared} compared numbers lie outside the 95 % interval of the difference, "
        f"where chance alone would leave {counts.expected:.0f} (p = {counts.p:.1g}){late}"
    )


def to_markdown(answers: Sequence[Answer]) -> str:
    """The answers paper by paper and table by table, rows as printed."""
    lines = ["# Every printed number and what became of it", ""]
    lines += [f"Of {len(answers)} printed numbers: {counted(answers)}. {multiplicity(outside(answers))}.", ""]
    where = "The rule and its words: [docs/verdicts.md](../docs/verdicts.md). Ours [95 % interval] n, the best record"
    lines += [f"{where} that there is; all digits in [summary.csv](summary.csv).", ""]
    for paper, own in groupby(answers, key=lambda answer: answer.paper):
        of_paper = list(own)
        lines += [f"## {paper}", "", f"{PAPERS[paper].title}: {counted(of_paper)}.", ""]
        for table, of_table in groupby(of_paper, key=lambda answer: answer.table):
            lines += [f"### Table {table}" if not table.startswith("text") else f"### In the text ({table[5:]})", ""]
            lines += [
                "| row | column | metric | printed | ours | n | scale | verdict |",
                "|---|---|---|---|---|---|---|---|",
            ]
            lines += [_line(answer) for answer in of_table]
            lines.append("")
    lines += between_machines(FAITHFUL)
    return "\n".join(lines)


def _line(answer: Answer) -> str:
    cell, published = answer.cell, answer.published
    printed = published.text + (f" ± {published.spread_text}" if published.spread_text else "")
    ours, scale, n = "", "", ""
    if cell and cell.estimate:
        digits, known = cell.metric.digits, cell.estimate.low is not None
        ours = fixed(cell.estimate.value, digits)
        ours += f" [{fixed(cell.estimate.low, digits)}, {fixed(cell.estimate.high, digits)}]" if known else ""
        scale, n = cell.scale, str(cell.estimate.n)
    verdict = OUTCOMES[answer.verdict]
    strong = " (equivalent)" if cell and cell.judgement.equivalent else ""
    page = why(answer)
    parts = (
        answer.row,
        answer.column,
        answer.metric,
        printed,
        ours,
        n,
        scale,
        f"{verdict.mark} {verdict.words}{strong}" + (f" ([factors]({page}))" if page else ""),
    )
    return f"| {' | '.join(parts)} |"
