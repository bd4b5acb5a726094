"""A replay as commands run it: what is drawn is said, each outcome as it comes, and at the end what it proves."""

from __future__ import annotations

import click

from structgrad.repro.planning.plan import Plan
from structgrad.repro.progress import stage
from structgrad.repro.replay.replaying import Drawn, Replayed, drawn, proven, replay


def replay_aloud(plan: Plan, count: int, text: str, minutes: float | None, quiet: bool) -> tuple[Drawn, list[Replayed]]:
    """Draw, train anew, and say so; ``quiet`` says on stderr alone what is being done."""
    chosen = drawn(plan, count, text, minutes)
    said = f"replaying {len(chosen.shards)} of {chosen.of} records of scale {plan.scale}, drawn by {text!r}"
    click.echo(f"{said}; their records took {chosen.seconds / 60:.1f} min", err=quiet)
    replayed = []
    with stage("training records anew", len(chosen.shards), "records") as done:
        for shard in chosen.shards:
            with stage(shard.id):
                replayed.append(replay(plan, shard, lambda *_: None))
            done()
            if not quiet:
                outcome, ran = replayed[-1].outcome, replayed[-1].again["run"]
                why = f"\n           {outcome.why}" if outcome.why else ""
                click.echo(f"{outcome.verdict:<10} {shard.id}  {ran['seconds']:.1f} s{why}")
    if not quiet:
        if chosen.left_out:
            click.echo(
                f"{len(chosen.left_out)} more could not be drawn: their data is not here (structgrad data fetch)"
            )
        click.echo(proven(chosen.of, chosen.weighted, [one.outcome for one in replayed]))
    return chosen, replayed
