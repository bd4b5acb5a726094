"""The README shows what the committed results say, and nothing else."""

import csv
import re
from collections import Counter
from pathlib import Path
from statistics import mean

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def first_section(table):
    """The percentages of a committed table, as Markdown rows."""
    text = (ROOT / f"results/paper/tables/{table}.md").read_text(encoding="utf-8")
    title = text.splitlines()[0].removeprefix("# ")
    rows = text.split("## ")[1].strip().splitlines()
    return "\n".join([f"{title}: {rows[0]}", *rows[1:]])


@pytest.mark.parametrize("table", ["indelman_1a", "indelman_1b"])
def test_tables_are_those_of_the_paper_scale(table):
    assert first_section(table) in README, f"paste this into README.md:\n{first_section(table)}"


def ranking_summary():
    """berthet Tables 1 and 2 at the desktop scale, averaged over the data sets that a column has, as Markdown rows."""
    columns = {}
    for table in ("1", "2"):
        with (ROOT / f"results/desktop/tables/berthet_{table}.csv").open(encoding="utf-8", newline="") as file:
            for cell in csv.DictReader(file):
                columns.setdefault(cell["column"], {}).setdefault(table, []).append(cell)
    rows = ["| loss | Table 1 | sets | Table 2 | sets |", "|---|---|---|---|---|"]
    for column, tables in columns.items():
        shown = [part for table in ("1", "2") for part in _averaged(tables.get(table, []))]
        rows.append(f"| {column} | {' | '.join(shown)} |")
    return "\n".join(rows)


def _averaged(cells):
    """Our mean and the printed one over the cells that ran, and how many of them have which verdict."""
    ran = [cell for cell in cells if cell["value"]]
    if not ran:
        return ("–", "")
    ours, printed = (mean(float(cell[part]) for cell in ran) for part in ("value", "published"))
    found = Counter(cell["verdict"] for cell in ran)
    marks = ((found[verdict], mark) for verdict, mark in (("reproduced", "✓"), ("close", "≈"), ("differs", "✗")))
    return f"{ours:.3f} ({printed:.3f})", " ".join(f"{count} {mark}" for count, mark in marks if count)


def test_the_summary_of_label_ranking_is_that_of_the_desktop_scale():
    assert ranking_summary() in README, f"paste this into README.md:\n{ranking_summary()}"


def arm_summary(table, metrics, unit):
    """A table at the desktop scale, one row an arm that ran or has printed numbers, as Markdown.

    ``metrics`` are (name, digits); settings of which nothing ran are left out. Each cell: ours (printed), how many
    units (replicas, trials) are behind ours in the last column.
    """
    with (ROOT / f"results/desktop/tables/{table}.csv").open(encoding="utf-8", newline="") as file:
        cells = {(cell["column"], cell["row"], cell["metric"]): cell for cell in csv.DictReader(file)}
    settings = list(dict.fromkeys(row for (_, row, _), cell in cells.items() if cell["value"]))
    heads = [
        setting if len(metrics) == 1 else f"{setting} {name.replace('_', ' ')}"
        for setting in settings
        for name, _ in metrics
    ]
    lines = [f"| arm | {' | '.join(heads)} | {unit} |", "|" + "---|" * (len(heads) + 2)]
    for column in dict.fromkeys(column for column, *_ in cells):
        found = [(cells.get((column, setting, name)), digits) for setting in settings for name, digits in metrics]
        if any(cell["value"] or cell["published"] for cell, _ in found if cell):
            behind = ", ".join(dict.fromkeys(cell["n"] for cell, _ in found if cell and cell["value"])) or "–"
            shown = " | ".join(_compared(cell, digits) for cell, digits in found)
            lines.append(f"| {column.replace('|', chr(92) + '|')} | {shown} | {behind} |")
    return "\n".join(lines)


def _compared(cell, digits):
    if cell is None:
        return ""
    ours = f"{float(cell['value']):.{digits}f}" if cell["value"] else "–"
    return f"{ours} ({float(cell['published']):g})" if cell["published"] else ours


SUMMARIES = {
    "indelman_2": ((("test_accuracy", 1),), "replicas"),
    "paulus_1": ((("elbo", 0), ("edge_precision", 1), ("edge_recall", 1)), "trials"),
    "paulus_2": ((("task_accuracy", 1), ("edge_precision", 1), ("edge_recall", 1)), "trials"),
}


@pytest.mark.parametrize("table", SUMMARIES)
def test_the_summary_of_arms_is_that_of_the_desktop_scale(table):
    summary = arm_summary(table, *SUMMARIES[table])
    assert summary in README, f"paste this into README.md:\n{summary}"


def test_links_and_pictures_exist():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert "results/paper/figures/indelman_1a.svg" in targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_two_commands_come_first():
    assert re.search(r"```\n(.*?)```", README, re.DOTALL)[1].split("\n")[:2] == ["make reproduce", "make test"]


def test_the_library_example_runs():
    exec(re.search(r"```python\n(.*?)```", README, re.DOTALL)[1], {})
