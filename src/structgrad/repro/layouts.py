"""A table as people read it, in md, html, LaTeX and on the terminal: text from a :class:`Table`, nothing computed.

Per metric, one row a setting and one group of columns an arm: ours [95 % interval] (published) mark.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from structgrad.repro.panels import Shown, Table, brackets, joined
from structgrad.repro.verdicts import VERDICTS

TEX_MARKS = {
    "reproduced": r"$\surd$", "close": r"$\approx$", "differs": r"$\times$", "not_comparable": r"$\cdot$",
    "not_attempted": "--", "no_data": r"$\emptyset$",
}  # fmt: skip


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
            ours = [joined(cell.value, cell.interval) for cell in cells]
            theirs = [joined(brackets(cell.published), TEX_MARKS[cell.verdict]) for cell in cells]
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
        drawn = RichTable(title=title, caption=table.scale_line, box=SIMPLE, padding=(0, 1, 0, 0))  # seven arms in 100
        drawn.add_column(table.axis)
        for arm in panel.arms:
            drawn.add_column(arm.column)
        for setting, cells in panel.rows:
            texts = (_marked_up(cell, styles.get(cell.verdict, "dim"), escape) for cell in cells)
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
    return text
