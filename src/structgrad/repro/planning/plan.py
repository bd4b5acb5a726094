"""What a configuration and a scale ask for: the shards to train, and what each table may claim from them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from structgrad.errors import UserError, unknown
from structgrad.experiments import REGISTRY
from structgrad.repro.planning.config import check, load_config, load_scale
from structgrad.repro.planning.experiment_plan import ExperimentPlan, plan_of
from structgrad.repro.planning.names import check_names
from structgrad.repro.planning.shard import SHARD_ID, Shard, folder_of
from structgrad.repro.planning.slices import settled

NO_BLOCK = "neither the scale's file in workflow/scales nor `scales` in its spec.py has a block of it"


@dataclass(frozen=True)
class Plan:
    """Everything a run will do. The tables have every published cell, whatever the selection."""

    scale: str
    config: Mapping[str, Any]
    experiments: Mapping[str, ExperimentPlan]
    shards: tuple[Shard, ...]
    absent: tuple[str, ...] = ()  # the experiments of which this scale runs nothing

    def shards_of(self, experiment: str, setting: str | None = None, arm: str | None = None) -> list[Shard]:
        """The shards of an experiment, of one setting or arm where given."""
        return [
            shard
            for shard in self.shards
            if shard.experiment == experiment and setting in (None, shard.setting) and arm in (None, shard.arm)
        ]

    def shard(self, identity: str) -> Shard:
        """The shard of that id: one of the plan, or any other range of replicas of one of its experiments."""
        by_id = {shard.id: shard for shard in self.shards}
        if identity in by_id:
            return by_id[identity]
        parts = re.fullmatch(SHARD_ID, identity)
        if parts is None or int(parts[5]) < int(parts[4]):
            raise unknown(f"shard of scale {self.scale}", identity, by_id)
        name, folder, arm, first, last = parts.groups()
        check_names("experiment", [name], self.experiments)
        experiment = self.experiments[name].experiment
        settings = {folder_of(setting): setting for setting in experiment.settings}
        check_names("setting", [folder], settings)
        check_names("arm", [arm], (known.name for known in experiment.arms))
        return Shard(self.scale, name, settings[folder], arm, int(first), int(last) - int(first) + 1)


def load_plan(scale: str | None = None, overrides: Mapping[str, Any] | None = None) -> Plan:
    """The plan of ``config.yaml``, with another ``scale`` or other ``overrides`` where given.

    Replicas that have records in other slices than the scale's are planned as they lie there
    (:mod:`structgrad.repro.planning.slices`).

    Raises:
        UserError: an unknown scale, experiment, arm, setting or hyper-parameter, with the nearest right word; an
            experiment that is asked for by name and not run at the scale.
    """
    config = load_config({**(overrides or {}), **({"scale": scale} if scale else {})})
    content = _content(config["scale"])
    chosen = _select("experiment", config["experiments"], REGISTRY)
    absent = tuple(name for name in REGISTRY if name in chosen and name not in content)
    if absent and config["experiments"] != "all":
        raise UserError(f"{absent[0]} is not run at scale {config['scale']}: {NO_BLOCK}")
    experiments = {
        name: plan_of(REGISTRY[name], content[name]) for name in REGISTRY if name in chosen and name in content
    }
    arms = _select("arm", config["arms"], (a.name for n in chosen for a in REGISTRY[n].arms))
    settings = _select("setting", config["settings"], (s for n in chosen for s in REGISTRY[n].settings))
    shards = [
        shard
        for name in experiments
        for block in content[name]["blocks"]
        for shard in _block_shards(config, name, block)
        if shard.arm in arms and shard.setting in settings
    ]
    if len({(s.experiment, s.setting, s.arm, s.first) for s in shards}) < len(shards):
        raise UserError(f"workflow/scales/{config['scale']}.yaml names an arm x setting in two blocks")
    return Plan(config["scale"], config, experiments, tuple(settled(shards, config["slice"])), absent)


def _content(scale: str) -> dict[str, Any]:
    """What the scale runs of each experiment: what its file says, and of those it does not name, what they declare."""
    named = load_scale(scale)["experiments"]
    check_names("experiment", named, REGISTRY)
    declared = {
        name: check({"description": "", "experiments": {name: experiment.scales[scale]}}, "scale", f"scales of {name}")
        for name, experiment in REGISTRY.items()
        if name not in named and scale in experiment.scales
    }
    return named | {name: content["experiments"][name] for name, content in declared.items()}


def _block_shards(config: Mapping[str, Any], name: str, block: Mapping[str, Any]) -> Iterable[Shard]:
    replicas = min(block["replicas"], config["replicas"] or block["replicas"])
    size = min(block.get("slice", replicas), replicas)
    for setting in block["settings"]:
        for arm in block["arms"]:
            for first in range(0, replicas, size):
                yield Shard(config["scale"], name, setting, arm, first, min(size, replicas - first))


def _select(kind: str, wanted: Any, known: Iterable[str]) -> set[str]:
    known = set(known)
    if wanted == "all":
        return known
    check_names(kind, wanted, known)
    return set(wanted)
