"""A table as people read it, in md, html, LaTeX and on the terminal: text from a :class:`Table`, nothing computed.

For each metric one row per setting and one column per arm: ours [95 % interval] (published) mark.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from structgrad.repro.tables.panels import Shown, Table, brackets, joined

TEX_MARKS = {
    "reproduced": r"$\surd$", "inconclusive": "?", "shifted": r"$\approx$", "differs": r"$\times$", "misprint": "!",
    "not_comparable": r"$\cdot$", "not_attempted": "--", "no_data": r"$\emptyset$",
}  # fmt: skip


CELL_WIDTH = 12  # characters of a cell in a terminal: its interval, and what lies between columns


def to_markdown(table: Table) -> str:
    """A heading, one table per metric, and the legend."""
    lines = [f"# {table.heading}", "", table.scale_line, ""]
    for panel in table.panels:
        lines += [f"## {panel.metric.title} ({panel.metric.unit})", ""]
        heads = (name.replace("|", r"\|") for name in (table.axis, *(arm.column for arm in panel.arms)))
        lines.append("| " + " | ".join(heads) + " |")
        lines.append("|" + "---|" * (len(panel.arms) + 1))
        lines += ["| " + " | ".join([row, *(c.line for c in cells)]) + " |" for row, cells in panel.rows]
        lines.append("")
    legend = "; ".join(f"{mark} {verdict}: {meaning}" for verdict, mark, meaning in table.legend)
    parts = (f"Ours [95 % interval over {table.over}]", "(published)" if table.printed else "", "verdict.")
    lines += [joined(*parts), f"{legend}.", ""]
    return "\n".join(lines)


def to_html(table: Table, to_results: str = "../") -> str:
    """A fragment (one ``section``); ``to_results`` leads from its page to ``results/<scale>/``."""
    return _templates().get_template("table.html.j2").render(table=_relinked(table, to_results))


def to_latex(table: Table) -> str:
    """One booktabs table per metric, two lines per setting: ours, then the paper's; one where it prints nothing."""
    marks = ", ".join(f"{TEX_MARKS[verdict]} {_tex(verdict)}" for verdict, _, _ in table.legend)
    beside = "; below, the published value and the verdict" if table.printed else " and the verdict"
    blocks = [f"% {table.heading}", "% needs \\usepackage{booktabs,graphicx}"]
    for panel in table.panels:
        heads = " & ".join(_tex(name) for name in (table.axis, *(arm.column for arm in panel.arms)))
        blocks += [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_tex(f'{table.heading}: {panel.metric.title} ({panel.metric.unit}).')}",
            _tex(table.scale_line),
            f"Ours with 95\\,\\% intervals over {table.over}{beside} ({marks}).}}",
            r"\resizebox{\linewidth}{!}{%",
            rf"\begin{{tabular}}{{l{'c' * len(panel.arms)}}}",
            r"\toprule",
            rf"{heads} \\",
            r"\midrule",
        ]
        for setting, cells in panel.rows:
            ours = [joined(cell.value, cell.interval) for cell in cells]
            theirs = [joined(brackets(cell.published), TEX_MARKS[cell.verdict]) for cell in cells]
            lines = [[_tex(setting), *ours], ["", *theirs]]
            if not table.printed:
                lines = [[_tex(setting), *map(joined, ours, theirs)]]
            blocks += [rf"{' & '.join(line)} \\" for line in lines]
        blocks += [r"\bottomrule", r"\end{tabular}}", r"\end{table}", ""]
    return "\n".join(blocks)


def to_terminal(table: Table, width: int) -> list[Any]:
    """``rich`` tables: per metric as many as its arms need at that width, in characters.

    A cell shows our number with the verdict, the interval and the paper's number.
    """
    from rich.box import SIMPLE
    from rich.markup import escape
    from rich.table import Table as RichTable

    styles = {"reproduced": "green", "shifted": "yellow", "differs": "red"}
    shown = []
    for panel in table.panels:
        title = f"{table.heading}: {panel.metric.title} ({panel.metric.unit})"
        room = max(1, (width - max(len(table.axis), *(len(row) for row, _ in panel.rows)) - 3) // CELL_WIDTH)
        parts = -(-len(panel.arms) // room)
        each = -(-len(panel.arms) // parts)
        for first in range(0, len(panel.arms), each):
            here = slice(first, first + each)
            drawn = RichTable(title=title, caption=table.scale_line, box=SIMPLE, padding=(0, 1, 0, 0))
            drawn.add_column(table.axis)
            for arm in panel.arms[here]:
                drawn.add_column(arm.column)
            for setting, cells in panel.rows:
                texts = (_marked_up(cell, styles.get(cell.verdict, "dim"), escape) for cell in cells[here])
                drawn.add_row(setting, *texts)
            shown.append(drawn)
    return shown


def _marked_up(cell: Shown, style: str, escape: Any) -> str:
    interval = escape(cell.interval.strip("[]").replace(", ", "–"))
    lines = [f"[{style}]{joined(cell.value, cell.mark)}[/]"]
    lines += [f"[dim]{interval}[/]"] if interval else []
    lines += [f"paper {cell.published}"] if cell.published else []
    return "\n".join(lines)


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


def _tex(text: str) -> str:
    for special in "&%#_$":
        text = text.replace(special, f"\\{special}")
    return text.replace("|", r"\textbar{}")
