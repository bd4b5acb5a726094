"""The data of a scale: digests made before any training, which every training job then holds its own data to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from structgrad.data.store import MissingDataError
from structgrad.errors import UserError
from structgrad.experiments.hyper_parameters import HyperParameters
from structgrad.files import write_text
from structgrad.repro.documents import read_json
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import Plan
from structgrad.repro.planning.resolve import digester
from structgrad.repro.planning.shard import Shard
from structgrad.repro.running.realdata import data_folder


def path_of(scale: str, experiment: str) -> Path:
    """The file of an experiment's data digests."""
    return results(scale) / "data" / f"{experiment}.json"


def make(plan: Plan, experiment: str) -> dict[str, str]:
    """Generate (or read) the data of every setting and write their digests; the digests by setting and replicas.

    What is left out for want of data has none, and neither has what is trained already where its data is not at hand.

    Raises:
        UserError: the data of a shard that is to be trained is missing or damaged.
    """
    from structgrad.training.seeds import seeds_for

    part = plan.experiments[experiment]
    digest = digester(part.experiment)
    name, together = part.experiment.seed_name, part.experiment.per_data_set
    digests: dict[str, str] = {}
    with data_folder(plan):
        for shard in plan.shards_of(experiment):
            if _key(shard) in digests or shard.left_out:
                continue
            seeds = seeds_for(name, shard.setting, None, shard.first, shard.count, "data", together)
            try:
                digests[_key(shard)] = digest(part.parameters_for(shard), shard.setting, seeds)
            except MissingDataError as error:
                if not shard.path.is_file():
                    raise UserError(f"{error}. To go on without it: structgrad data fetch") from error
    content = {"experiment": experiment, "scale": plan.scale, "digests": digests}
    write_text(path_of(plan.scale, experiment), json.dumps(content, indent=1) + "\n")
    return digests


def verified_digest(plan: Plan, shard: Shard, parameters: HyperParameters, seeds: Sequence[int]) -> str:
    """The digest of a shard's data, made anew and held to the one on file where there is one.

    There is none for real data that came after the file was made; its own sha256 is what it is held to.

    Raises:
        UserError: the data is not what it was when the digests were made; nothing is trained on it.
    """
    measured = digester(plan.experiments[shard.experiment].experiment)(parameters, shard.setting, seeds)
    path = path_of(shard.scale, shard.experiment)
    if path.is_file():
        expected = read(shard.scale, shard.experiment).get(_key(shard), measured)
        if expected != measured:
            raise UserError(
                f"{shard.id}: the data has digest {measured[:12]}, but {path} says {expected[:12]}; "
                "nothing was trained. Delete that file if the data was changed on purpose"
            )
    return measured


def read(scale: str, experiment: str) -> dict[str, str]:
    """The digests on file, by setting and replicas.

    Raises:
        UserError: the file is not as :func:`make` writes it.
    """
    path = path_of(scale, experiment)
    content = read_json(path)
    digests = content.get("digests") if isinstance(content, dict) else None
    if not isinstance(digests, dict) or not all(isinstance(digest, str) for digest in digests.values()):
        raise UserError(f"{path}: holds no digests; delete it, and the next run makes it anew")
    return digests


def _key(shard: Shard) -> str:
    return f"{shard.setting}/{shard.span}"
