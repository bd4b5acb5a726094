"""``structgrad merge``: what other machines say of the records here."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import click

from structgrad.errors import UserError
from structgrad.repro.options import json_option, plan_options, says_how_far
from structgrad.repro.planning.plan import Plan


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE|FOLDER]...")
@plan_options
@click.option("--signers", type=click.Path(path_type=Path), metavar="FILE",
              help="Count only attestations signed by one of this allowed-signers file of ssh-keygen.")  # fmt: skip
@click.option("--write", is_flag=True, help="Keep what agrees or not in results/<scale>/attestations.")
@json_option
@says_how_far
def command(plan: Plan, paths: tuple[Path, ...], signers: Path | None, write: bool, as_json: bool) -> None:
    """Set attestations and whole records of other machines beside the records here, shard by shard.

    Each shard is identical to the bit, equal within its record's level, undecided, or in conflict, which is the worst
    of what machines say. The attestations of this checkout count with what is named. Exit code 1 where there is a
    conflict.

    A FOLDER may be another checkout's results/<scale>. With --write attestations are copied as they are, with their
    signatures, and what whole records amount to becomes one.

    Examples:

        structgrad merge --scale paper

        structgrad merge ~/other/results/paper cluster.json --scale paper --write
    """
    from structgrad.repro.evidence import attestations, signatures
    from structgrad.repro.evidence.words import together, words_of
    from structgrad.repro.replay.merging import bring, statements_of, words_of_records

    own = list(attestations.paths_of(plan.scale))
    brought = bring(plan, [*own, *paths])
    apart = brought.apart
    if signers is not None:
        for found in list(brought.attestations):
            if signatures.signer(found.path, signers) is None:
                brought.attestations.remove(found)
                apart.append((str(found.path), f"not signed by anybody of {signers}"))
    unique = {attestations.name_of(found.content): found for found in brought.attestations}
    words = [word for found in unique.values() for word in words_of(plan.scale, found, apart)]
    words += words_of_records(brought.compared)
    if not words and not apart:
        raise UserError(f"nothing to merge: no attestation of scale {plan.scale} is here, and none was named")
    verdicts = together(words)
    if write:
        folder, here = attestations.folder_of(plan.scale), {path.name for path in own}
        for found in (found for name, found in unique.items() if name not in here):
            path = attestations.write(found.content, folder)
            if signatures.signature_of(found.path).is_file():
                shutil.copyfile(signatures.signature_of(found.path), signatures.signature_of(path))
        for content in statements_of(plan, brought.compared):
            attestations.write(content, folder)
    if as_json:
        told = [vars(word) for word in words]
        click.echo(json.dumps({"scale": plan.scale, "shards": verdicts, "said": told, "apart": apart}, indent=1))
    else:
        for shard, verdict in verdicts.items():
            click.echo(f"{verdict:<10} {shard}")
            for word in (word for word in words if word.shard == shard):
                why = f": {word.why}" if word.why else ""
                aside = ", which does not count" if word.emulated else ""
                click.echo(f"           {word.record_by} and {word.again_by}{aside}: {word.verdict}{why}")
        for what, why in apart:
            click.echo(f"apart      {what}: {why}")
        counts = Counter(verdicts.values())
        summed = ", ".join(f"{counts[name]} {name}" for name in attestations.VERDICTS if counts[name]) or "none"
        click.echo(f"{len(verdicts)} records of scale {plan.scale} beside other trainings: {summed}")
    sys.exit(int("conflict" in verdicts.values()))
