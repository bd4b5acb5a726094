"""``structgrad factors``: which unstated choices a printed column is compatible with."""

from __future__ import annotations

from math import isnan

import click

from structgrad.repro.options import says_how_far


@click.command()
@click.argument("table", required=False)
@says_how_far
@click.option("--arm", help="One study of the table, by the arm that it trains.")
@click.option("--budget", type=click.FloatRange(min=0), default=0.0, show_default=True, metavar="MINUTES",
              help="Core-minutes to train what is missing, inf for all; 0 shows what was trained.")  # fmt: skip
@click.option("--further", is_flag=True,
              help="Spend it on the further cells of the column alone, with what is compatible so far.")  # fmt: skip
def command(table: str | None, arm: str | None, budget: float, further: bool) -> None:
    """Ask which unstated choices of a protocol a whole printed column is compatible with.

    A study (factors.yaml in the paper's folder) names what the text leaves open as factors with levels. Some
    combinations of them are trained with the same seeds; from these follows which factor moves which cell by how much,
    and which combinations could have given the column as it is printed, or that none of them could. All of it was made
    after results were known: it explains, and enters no verdict. Without TABLE the studies are listed.

    Example: structgrad factors berthet_1 --arm perturbed_squared_plain --budget 20
    """
    from structgrad.errors import UserError, unknown
    from structgrad.repro.factors.declared import studies
    from structgrad.repro.factors.pages import screen, write_page
    from structgrad.repro.factors.study import answer
    from structgrad.repro.factors.training import spend, try_further
    from structgrad.repro.planning.plan import load_plan
    from structgrad.repro.running.realdata import data_folder

    declared = studies()
    if isnan(budget):
        raise UserError("--budget wants minutes; inf trains all combinations")
    if table is None and (arm or budget or further):
        raise UserError(f"which TABLE? those with factors: {', '.join(declared)}")
    if table is None:
        for name, own in declared.items():
            for study in own:
                sizes = " x ".join(map(str, study.sizes))
                click.echo(f"{name:<14} --arm {study.arm:<26} {sizes} levels: {study.column}")
        return
    if table not in declared:
        raise unknown("table with factors", table, declared)
    chosen = [study for study in declared[table] if arm in (None, study.arm)]
    if not chosen:
        raise unknown(f"study of {table}", str(arm), [study.arm for study in declared[table]])
    if further and not budget:
        raise UserError("--further wants a --budget in core-minutes")
    if further:
        chosen = [study for study in chosen if study.checks] or chosen
    plan, unanswered = load_plan(), []
    for study in chosen:
        try:
            with data_folder(plan):
                left = (try_further if further else spend)(study, 60 * budget / len(chosen)) if budget else 0
            told = answer(study)
        except UserError as error:
            unanswered.append(str(error))
            continue
        if told is not None:
            click.echo(screen(study, told) + "\n")
            click.echo(f"{write_page(study, told)}" + (f"; {left} runs are left\n" if left else "\n"))
        elif budget:
            click.echo(f"{table}, {study.arm}: {left} runs are left; the same command goes on")
        else:
            unanswered.append(
                f"{table}, {study.arm}: too little is trained to tell; give it a --budget in core-minutes"
            )
    if unanswered:
        raise UserError("; ".join(unanswered))
