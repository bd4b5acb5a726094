"""``structgrad audit``: is every number what it claims to be?"""

from __future__ import annotations

import json
import secrets
import sys

import click

from structgrad.errors import UserError
from structgrad.repro.options import json_option, plan_options, says_how_far
from structgrad.repro.planning.plan import Plan

SHOWN = 20  # findings of one check that are printed; --json has them all


@click.command()
@plan_options
@click.option(
    "--replay", "count", type=click.IntRange(min=1), metavar="N", help="Train N records anew, drawn at random."
)
@click.option("--seed", "text", metavar="TEXT", help="What draws them, such as a commit's hash. [default: at random]")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Draw what is cheap more often, and stop.")
@json_option
@says_how_far
def command(plan: Plan, count: int | None, text: str | None, minutes: float | None, as_json: bool) -> None:
    """Check a scale's results: manifest, records, seeds, data, and that all that is shown follows from the records.

    Exit code 0: everything holds. 1: something does not, and the finding names the file, line and digit. Nothing
    is trained and nothing is written.

    A record that was made up as a whole, with all that follows from it, passes these checks. --replay trains N of them
    anew beside the records and says what that proves; a --seed that was fixed after the results, such as the hash of
    the commit that published them, lets everybody draw the same ones.

    Examples:

        structgrad audit --scale paper

        structgrad audit --scale paper --replay 20 --minutes 30 --seed "$(git rev-parse HEAD)"
    """
    if count is not None:
        _replay(plan, count, text, minutes, as_json)
        return
    if text is not None or minutes is not None:
        raise UserError("--seed and --minutes say how --replay draws; how many? --replay N")
    from structgrad.repro.audit import audit

    checks, notes = audit(plan)
    failed = any(findings for _, findings in checks)
    if as_json:
        results = [
            {"check": what, "ok": not findings, "findings": [vars(finding) for finding in findings]}
            for what, findings in checks
        ]
        content = {"scale": plan.scale, "ok": not failed, "checks": results, "notes": [vars(note) for note in notes]}
        click.echo(json.dumps(content, indent=1))
        sys.exit(int(failed))

    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for what, findings in checks:
        console.print(f"[{'red' if findings else 'green'}]{'FAIL' if findings else 'ok  '}[/] {what}")
        for finding in findings[:SHOWN]:
            console.print(f"     {finding}", markup=False)
        if len(findings) > SHOWN:
            console.print(f"     and {len(findings) - SHOWN} more (--json lists them)")
    for note in notes:
        console.print(f"note {note}", markup=False)
    count = sum(len(findings) for _, findings in checks)
    verdict = f"{count} findings" if count != 1 else "1 finding"
    console.print(f"audit of scale {plan.scale}: {verdict if failed else 'everything holds'}")
    sys.exit(int(failed))


def _replay(plan: Plan, count: int, text: str | None, minutes: float | None, as_json: bool) -> None:
    from structgrad.repro.commands.replaying import replay_aloud
    from structgrad.repro.replay.statement import replay_found

    chosen, replayed = replay_aloud(plan, count, text or secrets.token_hex(8), minutes, as_json)
    if as_json:
        click.echo(json.dumps(replay_found(plan, chosen, replayed), indent=1))
    sys.exit(int(any(one.outcome.verdict == "conflict" for one in replayed)))
