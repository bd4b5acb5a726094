"""``structgrad tables``: the tables and figures, derived from the records."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence

import click

from structgrad.repro.options import json_option, plan_options, says_how_far
from structgrad.repro.planning.plan import Plan
from structgrad.repro.progress import stage
from structgrad.repro.tables.panels import Table


@click.command()
@plan_options
@json_option
@click.option("--only", type=click.Choice(["tables", "figures"]), help="Write one kind of file; by default both.")
@click.option("--further", is_flag=True, help="Print the further readings, too: what no printed number is held to.")
@click.option("--quiet", is_flag=True, help="Write the files and print no table.")
@says_how_far
def command(plan: Plan, as_json: bool, only: str | None, further: bool, quiet: bool) -> None:
    """Build the tables and figures of a scale from its records, and print the answers to the papers' numbers.

    Every table is written as csv, md, html and LaTeX to results/<scale>/tables/, every figure as the csv of
    its data and an svg to results/<scale>/figures/. Nothing is trained; cells without a record are marked
    not_attempted in the files, and left out of what is printed. What an answer is: docs/verdicts.md.

    Example: structgrad tables --scale paper
    """
    from structgrad.repro.judging.cells import collect_all
    from structgrad.repro.tables.files import COLUMNS, csv_row, write_tables
    from structgrad.repro.tables.panels import tables

    cells, written = collect_all(plan), []
    if only != "figures":
        with stage("writing the tables"):
            written += write_tables(plan, cells)
    if only != "tables":
        from structgrad.repro.figures.files import write_figures

        with stage("drawing the figures"):
            written += write_figures(plan, cells)
    if quiet:
        return
    if as_json:
        rows = [dict(zip(COLUMNS, csv_row(cell), strict=True)) for own in cells.values() for cell in own]
        click.echo(json.dumps({"files": [str(path) for path in written], "cells": rows}, indent=1))
        return
    _print(plan, list(tables(plan, cells).values()), further)


def _print(plan: Plan, shown: Sequence[Table], further: bool) -> None:
    from rich.console import Console

    from structgrad.repro.planning.program import command_line
    from structgrad.repro.tables.screen import draw, readings, tally

    console = Console(width=shutil.get_terminal_size().columns, highlight=False)
    for table in shown:
        for part in (False, True) if further else (False,):
            for drawn in draw(table, console.width, part):
                console.print(drawn)
    console.print("Ours with its verdict, its 95 % interval, and the paper's number.", markup=False)
    console.print(f"{tally(shown)}.", markup=False)
    more = readings(shown)
    if more and not further:
        hint = command_line(plan, "tables", "--only", "tables", "--further")
        console.print(f"{more} further readings: {hint}", markup=False, soft_wrap=True)
