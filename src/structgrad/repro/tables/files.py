"""Tables of an experiment in csv, md, html and LaTeX, rebuilt byte for byte from the records.

The csv, made here, has one line per cell and every digit; the others are layouts for people.
"""

from __future__ import annotations

from pathlib import Path

from structgrad.files import write_bytes
from structgrad.repro.judging.cells import Cell, Cells
from structgrad.repro.judging.numbers import MORE_DIGITS, fixed
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import Plan
from structgrad.repro.tables.comma_separated import comma_separated
from structgrad.repro.tables.layouts import to_html, to_latex, to_markdown
from structgrad.repro.tables.panels import Table, tables

COLUMNS = (
    "paper", "table", "row", "column", "metric", "unit", "value", "spread", "ci_low", "ci_high", "n",
    "published", "published_spread", "answer", "verdict", "equivalent", "difference_low", "difference_high",
    "first_verdict", "scale", "records",
)  # fmt: skip


def build_tables(plan: Plan, cells: Cells) -> dict[Path, bytes]:
    """Every table file of the plan and its content, without writing any: the audit compares with this."""
    contents: dict[Path, bytes] = {}
    for table in tables(plan, cells).values():
        stem = results(plan.scale) / "tables" / table.stem
        formats = {"csv": to_csv, "md": to_markdown, "html": to_html, "tex": to_latex}
        for suffix, render in formats.items():
            contents[stem.with_name(f"{stem.name}.{suffix}")] = render(table).encode("utf-8")
    return contents


def write_tables(plan: Plan, cells: Cells) -> list[Path]:
    """Write :func:`build_tables` and return the paths."""
    contents = build_tables(plan, cells)
    for path, content in contents.items():
        write_bytes(path, content)
    return list(contents)


def to_csv(table: Table) -> str:
    """One line per cell; ``n`` is the number of replicas, ``records`` the digests' first twelve digits."""
    return comma_separated(COLUMNS, map(csv_row, table.cells))


def csv_row(cell: Cell) -> list[str]:
    """A cell's line under :data:`COLUMNS`."""
    ours, theirs, digits = cell.estimate, cell.published, cell.metric.digits + MORE_DIGITS
    return [
        cell.experiment.paper,
        cell.experiment.table,
        cell.setting,
        cell.arm.column,
        cell.metric.name,
        cell.metric.unit,
        *(fixed(getattr(ours, part, None), digits) for part in ("value", "spread", "low", "high")),
        str(ours.n if ours else 0),
        theirs.text if theirs else "",
        theirs.spread_text if theirs else "",
        "yes" if cell.is_answer else "",
        cell.judgement.verdict,
        "yes" if cell.judgement.equivalent else "",
        *(fixed(getattr(cell.judgement.difference, end, None), digits) for end in ("low", "high")),
        cell.judgement.first,
        cell.scale,
        " ".join(piece.mark for piece in cell.evidence),
    ]
