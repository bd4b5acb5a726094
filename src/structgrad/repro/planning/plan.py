"""What a configuration and a scale ask for: the shards to train, and what each table may claim from them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from structgrad.errors import UserError, unknown
from structgrad.experiments import REGISTRY, Experiment
from structgrad.repro.planning import hyper_parameters
from structgrad.repro.planning.config import check, load_config, load_scale
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.resolve import has_values, resolved

NO_BLOCK = "neither the scale's file in workflow/scales nor `scales` in its spec.py has a block of it"
SHARD_ID = r"([^/]+)/([^/]+)/([^/]+)/(\d+)-(\d+)"


def folder_of(setting: str) -> str:
    """A setting without blanks: in names of files, and where a shell would split it."""
    return setting.replace(" ", "_")


@dataclass(frozen=True)
class Shard:
    """What one job runs: replicas ``first`` .. ``first + count - 1`` of one arm x setting."""

    scale: str
    experiment: str
    setting: str
    arm: str
    first: int
    count: int

    @property
    def span(self) -> str:
        """The replicas as ``first-last``."""
        return f"{self.first}-{self.first + self.count - 1}"

    @property
    def id(self) -> str:
        """Such as ``indelman_1a/d=25/direct/0-199``."""
        return f"{self.experiment}/{self.folder}/{self.arm}/{self.span}"

    @property
    def folder(self) -> str:
        """The setting as files and the command line have it: ``MNIST_k=5`` for ``MNIST k=5``."""
        return folder_of(self.setting)

    @property
    def path(self) -> Path:
        """Where the shard's record lies."""
        return results(self.scale) / "records" / self.experiment / self.folder / f"{self.arm}.{self.span}.json"

    @property
    def note(self) -> Path:
        """What stands in the record's place where its data could not be had: one line that says how to get it."""
        return self.path.with_suffix(".no_data")

    @property
    def left_out(self) -> bool:
        """Whether it is not trained because its data could not be had."""
        return self.note.is_file() and not self.path.is_file()


@dataclass(frozen=True)
class Block:
    """What a scale says of one arm at one setting: whether nothing but replicas is cut, or what; which hyper-parameters
    differ there, in place of the experiment's (None: these); and what one replica takes, where the scale says so.
    """

    comparable: bool
    reason: str
    overrides: Mapping[str, Any] | None = None
    cost: str | None = None


@dataclass(frozen=True)
class ExperimentPlan:
    """One experiment at one scale.

    ``comparable``, ``reason``, ``overrides`` and ``arm_overrides`` hold where no block says otherwise.
    """

    experiment: Experiment
    comparable: bool
    reason: str
    overrides: Mapping[str, Any]
    arm_overrides: Mapping[str, Mapping[str, Any]]
    blocks: Mapping[tuple[str, str], Block] = field(default_factory=dict)  # by (setting, arm)

    def block(self, setting: str, arm: str) -> Block:
        """What the scale says of an arm at a setting."""
        return self.blocks.get((setting, arm), Block(self.comparable, self.reason))

    def cut(self, setting: str, arm: str) -> str | None:
        """What the scale cuts of an arm at a setting besides replicas; None where that is nothing."""
        block = self.block(setting, arm)
        return None if block.comparable else block.reason

    def config_of(self, setting: str, arm: str) -> dict[str, Any]:
        """The hyper-parameters of an arm at a setting, before what differs between data sets is resolved."""
        own = self.block(setting, arm).overrides
        return self.scaled(arm) if own is None else {**self.experiment.config_of(arm), **own}

    def scaled(self, arm: str) -> dict[str, Any]:
        """The hyper-parameters of an arm at this scale where no block has its own."""
        return {**self.experiment.config_of(arm), **self.overrides, **self.arm_overrides.get(arm, {})}

    def config_for(self, shard: Shard) -> dict[str, Any]:
        """The hyper-parameters that a shard trains with, as its record holds them."""
        return resolved(self.experiment, self.config_of(shard.setting, shard.arm), shard.setting)

    def parameters_for(self, shard: Shard) -> Any:
        """The same, typed, as its trainer gets them."""
        return hyper_parameters.read(self.experiment, self.config_of(shard.setting, shard.arm), shard.setting)

    def identity(self, shard: Shard) -> dict[str, Any]:
        """The fields of a record that say which shard it is of."""
        return {
            "id": shard.id,
            "scale": shard.scale,
            "paper": self.experiment.paper,
            "table": self.experiment.table,
            "experiment": shard.experiment,
            "setting": shard.setting,
            "arm": shard.arm,
            "replicas": {"first": shard.first, "count": shard.count},
        }


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
        _check_names("experiment", [name], self.experiments)
        experiment = self.experiments[name].experiment
        settings = {folder_of(setting): setting for setting in experiment.settings}
        _check_names("setting", [folder], settings)
        _check_names("arm", [arm], (known.name for known in experiment.arms))
        return Shard(self.scale, name, settings[folder], arm, int(first), int(last) - int(first) + 1)


def load_plan(scale: str | None = None, overrides: Mapping[str, Any] | None = None) -> Plan:
    """The plan of ``config.yaml``, with another ``scale`` or other ``overrides`` where given.

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
        name: _experiment_plan(REGISTRY[name], content[name]) for name in REGISTRY if name in chosen and name in content
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
    return Plan(config["scale"], config, experiments, tuple(shards), absent)


def _content(scale: str) -> dict[str, Any]:
    """What the scale runs of each experiment: what its file says, and of those it does not name, what they declare."""
    named = load_scale(scale)["experiments"]
    _check_names("experiment", named, REGISTRY)
    declared = {
        name: check({"description": "", "experiments": {name: experiment.scales[scale]}}, "scale", f"scales of {name}")
        for name, experiment in REGISTRY.items()
        if name not in named and scale in experiment.scales
    }
    return named | {name: content["experiments"][name] for name, content in declared.items()}


def _experiment_plan(experiment: Experiment, content: Mapping[str, Any]) -> ExperimentPlan:
    names = {arm.name for arm in experiment.arms}
    for block in content["blocks"]:
        _check_names("arm", block["arms"], names)
        _check_names("setting", block["settings"], experiment.settings)
        if experiment.folds and block["replicas"] > experiment.folds:
            raise UserError(
                f"{experiment.name}: {block['replicas']} replicas, but its replicas are {experiment.folds} folds"
            )
    overrides, arm_overrides = content.get("overrides", {}), content.get("arm_overrides", {})
    _check_names("arm", arm_overrides, names)
    comparable, reason = content["comparable"], content["reason"]
    blocks = {
        (setting, arm): _block(block, comparable, reason)
        for block in content["blocks"]
        for setting in block["settings"]
        for arm in block["arms"]
    }
    part = ExperimentPlan(experiment, comparable, reason, overrides, arm_overrides, blocks)
    _read_all(part)
    return part


def _block(content: Mapping[str, Any], comparable: bool, reason: str) -> Block:
    return Block(
        content.get("comparable", comparable),
        content.get("reason", reason),
        content.get("overrides"),
        content["cost"].strip() if "cost" in content else None,
    )


def _read_all(part: ExperimentPlan) -> None:
    """Read the hyper-parameters of all arms that the scale names, at all settings: a mistake shows here, not in a job.

    A setting that no block has with the arm need not have a value where others have one each.
    """
    experiment = part.experiment
    for arm in sorted({*part.arm_overrides, *(arm for _, arm in part.blocks)}):
        config = part.scaled(arm)
        for setting in experiment.settings:
            if (setting, arm) in part.blocks or has_values(experiment, config, setting):
                hyper_parameters.read(experiment, config, setting)
    for setting, arm in part.blocks:
        if part.block(setting, arm).overrides is not None:
            hyper_parameters.read(experiment, part.config_of(setting, arm), setting)


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
    _check_names(kind, wanted, known)
    return set(wanted)


def _check_names(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = set(known)
    for name in names:
        if name not in known:
            raise unknown(kind, name, known)
