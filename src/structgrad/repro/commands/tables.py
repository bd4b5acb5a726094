"""``structgrad tables``: the tables and figures, derived from the records."""

from __future__ import annotations

import json
import shutil

import click

from structgrad.repro.options import json_option, plan_options
from structgrad.repro.planning.plan import Plan


@click.command()
@plan_options
@json_option
@click.option("--only", type=click.Choice(["tables", "figures"]), help="Write one kind of file; by default both.")
@click.option("--quiet", is_flag=True, help="Write the files and print nothing.")
def command(plan: Plan, as_json: bool, only: str | None, quiet: bool) -> None:
    """Build the tables and figures of a scale from its records, and print the tables.

    Every table is written as csv, md, html and LaTeX to results/<scale>/tables/, every figure as the csv of
    its data and an svg to results/<scale>/figures/. Nothing is trained; cells without a record are marked
    not_attempted.

    Example: structgrad tables --scale paper
    """
    from structgrad.repro.judging.cells import collect_all
    from structgrad.repro.tables.files import COLUMNS, csv_row, write_tables
    from structgrad.repro.tables.layouts import to_terminal
    from structgrad.repro.tables.panels import tables

    cells, written = collect_all(plan), []
    if only != "figures":
        written += write_tables(plan, cells)
    if only != "tables":
        from structgrad.repro.figures.files import write_figures

        written += write_figures(plan, cells)
    if quiet:
        return
    if as_json:
        rows = [dict(zip(COLUMNS, csv_row(cell), strict=True)) for own in cells.values() for cell in own]
        click.echo(json.dumps({"files": [str(path) for path in written], "cells": rows}, indent=1))
        return
    from rich.console import Console

    shown = tables(plan, cells)
    console = Console(width=max(100, shutil.get_terminal_size().columns))
    for table in shown.values():
        for drawn in to_terminal(table, console.width):
            console.print(drawn)
    longest = max((table.legend for table in shown.values()), key=len)
    legend = "; ".join(f"{mark} {verdict}" for verdict, mark, _ in longest)
    theirs = ", then the paper's" if any(table.printed for table in shown.values()) else ""
    console.print(f"ours with its 95 % interval over replicas{theirs}; {legend}", markup=False)
