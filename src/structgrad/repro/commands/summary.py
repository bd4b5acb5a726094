"""``structgrad summary``: one verdict per printed number, from the best record that there is."""

from __future__ import annotations

import json

import click

from structgrad.repro.options import json_option, says_how_far


@click.command()
@json_option
@says_how_far
@click.option("--paper", help="One paper alone: indelman, berthet or paulus.")
@click.option("--write", is_flag=True, help="Write results/summary.csv, summary.md and summary.svg as well.")
def command(as_json: bool, paper: str | None, write: bool) -> None:
    """What became of every number that the three papers print.

    Each printed number has one answer: the cell that its experiment declares as the main reading, at the most
    faithful scale that has a record of it (paper, then desktop). docs/verdicts.md has the rule.

    Example: structgrad summary --paper indelman
    """
    from structgrad.errors import unknown
    from structgrad.experiments import PUBLISHED
    from structgrad.repro.figures.number_map import write_map
    from structgrad.repro.judging.summary import best_evidence
    from structgrad.repro.progress import stage
    from structgrad.repro.tables.summary import COLUMNS, csv_row, write_summary
    from structgrad.repro.tables.summary_screen import screen

    if paper is not None and paper not in PUBLISHED:
        raise unknown("paper", paper, PUBLISHED)
    with stage("judging every printed number by its best record"):
        answers = best_evidence()
    if write:
        write_summary(answers)
        write_map(answers)
    shown = [answer for answer in answers if paper in (None, answer.paper)]
    if as_json:
        click.echo(json.dumps([dict(zip(COLUMNS, csv_row(answer), strict=True)) for answer in shown], indent=1))
    else:
        click.echo(f"What became of the {len(shown)} numbers that the papers print:\n")
        click.echo(screen(shown))
