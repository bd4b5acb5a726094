"""A table as people read it, in md, html and LaTeX: text from a :class:`Table`, nothing computed.

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
