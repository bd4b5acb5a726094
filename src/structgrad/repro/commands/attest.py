"""``structgrad attest``: train records anew and write what that found as a statement that others can keep and check."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

import click

from structgrad.repro.options import json_option, plan_options, says_how_far
from structgrad.repro.planning.plan import Plan


@click.command()
@plan_options
@click.option("--replay", "count", type=click.IntRange(min=1), default=20, show_default=True, metavar="N",
              help="Train N records anew, drawn at random.")  # fmt: skip
@click.option("--seed", "text", metavar="TEXT", help="What draws them. [default: the hash of this checkout's commit]")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Draw what is cheap more often, and stop.")
@click.option("--key", type=click.Path(path_type=Path), help="Sign it with this ssh key, by ssh-keygen.")
@click.option("--into", type=click.Path(path_type=Path, file_okay=False),
              help="The folder to write to. [default: results/<scale>/attestations]")  # fmt: skip
@json_option
@says_how_far
def command(
    plan: Plan, count: int, text: str | None, minutes: float | None, key: Path | None, into: Path | None, as_json: bool
) -> None:
    """Replay records as `structgrad audit --replay` does, and write what was found as an in-toto statement.

    It names the records by their sha256, the text that drew them, this machine and its libraries, and each record's
    verdict. No network is used. What lies in results/<scale>/attestations is held to the records by the audit and
    counted in the summary. Exit code 1 where a record is in conflict; the statement is written all the same.

    Examples:

        structgrad attest --scale paper --minutes 30

        structgrad attest --scale paper --replay 5 --key ~/.ssh/id_ed25519 --into ~/attestations
    """
    from structgrad.files import of_user
    from structgrad.repro.commands.replaying import replay_aloud
    from structgrad.repro.evidence import attestations, signatures
    from structgrad.repro.replay.statement import attestation, replay_found
    from structgrad.repro.running import git

    if key is not None:
        key = of_user(str(key), "--key")
        signatures.check_key(key)  # before anything is trained
    text = text or git.state().commit or secrets.token_hex(8)
    chosen, replayed = replay_aloud(plan, count, text, minutes, as_json)
    content = attestation(plan.scale, replay_found(plan, chosen, replayed), replayed)
    folder = of_user(str(into), "--into") if into else attestations.folder_of(plan.scale)
    path = attestations.write(content, folder)
    if key is not None:
        signatures.sign(path, key)
    if as_json:
        click.echo(json.dumps(content, indent=1))
    else:
        click.echo(f"written: {path}" + (f", signed: {signatures.signature_of(path).name}" if key else ""))
        if into is None:
            click.echo(f"then: structgrad summary --write && structgrad report --scale {plan.scale}")
    sys.exit(int(any(one.outcome.verdict == "conflict" for one in replayed)))
