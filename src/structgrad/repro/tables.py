"""Tables of an experiment in csv, md, html and LaTeX, rebuilt byte for byte from the records.

The csv has one line a cell and every digit; the others show, per metric, one row a setting and one group of
columns an arm: ours [95 % interval] (published) mark.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from structgrad.experiments import Arm, Metric
from structgrad.repro.cells import Cell, collect
from structgrad.repro.files import write_bytes
from structgrad.repro.numbers import fixed
from structgrad.repro.paths import results
from structgrad.repro.plan import Plan
from structgrad.repro.verdicts import VERDICTS

COLUMNS = (
    "paper", "table", "row", "column", "metric", "unit", "value", "spread", "ci_low", "ci_high", "n",
    "published", "published_spread", "verdict", "scale", "records",
)  # fmt: skip
MORE_DIGITS = 2  # of the csv over what a reader is shown
MARKS = {
    "reproduced": "✓", "close": "≈", "differs": "✗", "not_comparable": "·",
    "not_attempted": "–", "no_data": "∅",
}  # fmt: skip
TEX_MARKS = {
    "reproduced": r"$\surd$", "close": r"$\approx$", "differs": r"$\times$", "not_comparable": r"$\cdot$",
    "not_attempted": "--", "no_data": r"$\emptyset$",
}  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """A cell as people read it; parts that do not exist are empty."""

    id: str
    value: str
    interval: str
    n: int
    published: str
    verdict: str
    reason: str
    mark: str
    links: tuple[str, ...]

    @property
    def line(self) -> str:
        """``87.5 [82.1, 91.7] (89.5) ✓`` and less where less is known."""
        return _joined(self.value, self.interval, _brackets(self.published), self.mark)


@dataclass(frozen=True)
class Panel:
    """One metric of a table: for each setting the cells of all arms."""

    metric: Metric
    arms: tuple[Arm, ...]
    rows: tuple[tuple[str, tuple[Shown, ...]], ...]


@dataclass(frozen=True)
class Table:
    """What every format shows."""

    paper: str
    number: str
    axis: str
    heading: str
    scale_line: str
    panels: tuple[Panel, ...]
    cells: tuple[Cell, ...]

    @property
    def legend(self) -> list[tuple[str, str, str]]:
        """(verdict, mark, meaning)."""
        return [(verdict, MARKS[verdict], meaning) for verdict, meaning in VERDICTS.items()]


def tables(plan: Plan) -> dict[str, Table]:
    """The table of every experiment in the plan, by experiment."""
    return {name: _table(plan, name) for name in plan.experiments}


def build_tables(plan: Plan) -> dict[Path, bytes]:
    """Every table file of the plan and its content, without writing any: the audit compares with this."""
    contents: dict[Path, bytes] = {}
    for table in tables(plan).values():
        stem = results(plan.scale) / "tables" / f"{table.paper}_{table.number}"
        formats = {"csv": to_csv, "md": to_markdown, "html": to_html, "tex": to_latex}
        for suffix, render in formats.items():
            contents[stem.with_name(f"{stem.name}.{suffix}")] = render(table).encode("utf-8")
    return contents


def write_tables(plan: Plan) -> list[Path]:
    """Write :func:`build_tables` and return the paths."""
    contents = build_tables(plan)
    for path, content in contents.items():
        write_bytes(path, content)
    return list(contents)


def to_csv(table: Table) -> str:
    """One line a cell; ``n`` is the number of replicas, ``records`` the digests' first twelve digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(csv_row(cell) for cell in table.cells)
    return text.getvalue()


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
        cell.judgement.verdict,
        cell.scale,
        " ".join(piece.mark for piece in cell.evidence),
    ]


def to_markdown(table: Table) -> str:
    """A heading, one table a metric, and the legend."""
    lines = [f"# {table.heading}", "", table.scale_line, ""]
    for panel in table.panels:
        lines += [f"## {panel.metric.title} ({panel.metric.unit})", ""]
        lines.append("| " + " | ".join([table.axis, *(arm.column for arm in panel.arms)]) + " |")
        lines.append("|" + "---|" * (len(panel.arms) + 1))
        lines += ["| " + " | ".join([row, *(c.line for c in cells)]) + " |" for row, cells in panel.rows]
        lines.append("")
    legend = "; ".join(f"{mark} {verdict}: {meaning}" for verdict, mark, meaning in table.legend)
    lines += ["Ours [95 % interval over replicas] (published) verdict.", f"{legend}.", ""]
    return "\n".join(lines)


def to_html(table: Table, to_results: str = "../") -> str:
    """A fragment (one ``section``); ``to_results`` leads from its page to ``results/<scale>/``."""
    return _templates().get_template("table.html.j2").render(table=_relinked(table, to_results))


def to_latex(table: Table) -> str:
    """One booktabs table a metric; two lines a setting: ours, then the paper's."""
    blocks = [f"% {table.heading}", "% needs \\usepackage{booktabs,graphicx}"]
    for panel in table.panels:
        heads = " & ".join(_tex(name) for name in (table.axis, *(arm.column for arm in panel.arms)))
        blocks += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_tex(f'{table.heading}: {panel.metric.title} ({panel.metric.unit}).')}",
            _tex(table.scale_line),
            "Ours with 95\\,\\% intervals over replicas; below, the published value and the verdict "
            f"({', '.join(f'{TEX_MARKS[v]} {_tex(v)}' for v in VERDICTS)}).}}",
            r"\resizebox{\linewidth}{!}{%",
            rf"\begin{{tabular}}{{l{'c' * len(panel.arms)}}}",
            r"\toprule",
            rf"{heads} \\",
            r"\midrule",
        ]
        for setting, cells in panel.rows:
            ours = [_joined(cell.value, cell.interval) for cell in cells]
            theirs = [_joined(_brackets(cell.published), TEX_MARKS[cell.verdict]) for cell in cells]
            blocks += [rf"{' & '.join([_tex(setting), *ours])} \\", rf"{' & '.join(['', *theirs])} \\"]
        blocks += [r"\bottomrule", r"\end{tabular}}", r"\end{table}", ""]
    return "\n".join(blocks)


def to_terminal(table: Table) -> list[Any]:
    """One ``rich`` table a metric; in a cell ours and the verdict, the interval, the paper's number."""
    from rich.box import SIMPLE
    from rich.markup import escape
    from rich.table import Table as RichTable

    styles = {"reproduced": "green", "close": "yellow", "differs": "red"}
    shown = []
    for panel in table.panels:
        title = f"{table.heading}: {panel.metric.title} ({panel.metric.unit})"
        drawn = RichTable(title=title, caption=table.scale_line, box=SIMPLE)
        drawn.add_column(table.axis)
        for arm in panel.arms:
            drawn.add_column(arm.column)
        for setting, cells in panel.rows:
            texts = (_marked_up(cell, styles.get(cell.verdict, "dim"), escape) for cell in cells)
            drawn.add_row(setting, *texts)
        shown.append(drawn)
    return shown


def _table(plan: Plan, name: str) -> Table:
    part = plan.experiments[name]
    experiment = part.experiment
    cells = collect(plan, name)
    by_place = {(cell.metric.name, cell.setting, cell.arm.name): cell for cell in cells}
    panels = tuple(
        Panel(
            metric,
            experiment.arms,
            tuple(
                (setting, tuple(_shown(by_place[metric.name, setting, arm.name]) for arm in experiment.arms))
                for setting in experiment.settings
            ),
        )
        for metric in experiment.metrics
    )
    standing = "comparable with the paper" if part.comparable else "not comparable with the paper"
    return Table(
        paper=experiment.paper,
        number=experiment.table,
        axis=experiment.axis,
        heading=f"{experiment.paper} Table {experiment.table}: {experiment.title}",
        scale_line=f"Scale {plan.scale}, {standing}: {part.reason}.",
        panels=panels,
        cells=tuple(cells),
    )


def _shown(cell: Cell) -> Shown:
    ours, digits = cell.estimate, cell.metric.digits
    known = ours is not None and ours.low is not None
    return Shown(
        id=cell.id,
        value=fixed(ours.value, digits) if ours else "",
        interval=f"[{fixed(ours.low, digits)}, {fixed(ours.high, digits)}]" if ours and known else "",
        n=ours.n if ours else 0,
        published=cell.published.text if cell.published else "",
        verdict=cell.judgement.verdict,
        reason=cell.judgement.reason,
        mark=MARKS[cell.judgement.verdict],
        links=tuple(_link(piece.path, cell.scale) for piece in cell.evidence),
    )


def _marked_up(cell: Shown, style: str, escape: Any) -> str:
    interval = escape(cell.interval.strip("[]").replace(", ", "–"))
    lines = [f"[{style}]{_joined(cell.value, cell.mark)}[/]"]
    lines += [f"[dim]{interval}[/]"] if interval else []
    lines += [f"paper {cell.published}"] if cell.published else []
    return "\n".join(lines)


def _link(path: Path, scale: str) -> str:
    return str(PurePosixPath(*path.relative_to(results(scale)).parts))


def _relinked(table: Table, to_results: str) -> Table:
    def cell(shown: Shown) -> Shown:
        return replace(shown, links=tuple(to_results + link for link in shown.links))

    panels = tuple(
        replace(panel, rows=tuple((row, tuple(cell(c) for c in cells)) for row, cells in panel.rows))
        for panel in table.panels
    )
    return replace(table, panels=panels)


@cache
def _templates() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("structgrad.repro", "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _brackets(text: str) -> str:
    return f"({text})" if text else ""


def _tex(text: str) -> str:
    for special in "&%#_$":
        text = text.replace(special, f"\\{special}")
    return text
