"""What a scale asks of one experiment, block by block, and what its table may claim from that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from structgrad.errors import UserError
from structgrad.experiments import Experiment
from structgrad.repro.planning import hyper_parameters
from structgrad.repro.planning.names import check_names
from structgrad.repro.planning.resolve import has_values, resolved
from structgrad.repro.planning.shard import Shard


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


def plan_of(experiment: Experiment, content: Mapping[str, Any]) -> ExperimentPlan:
    """The plan that a scale's content for an experiment makes.

    Raises:
        UserError: it names what the experiment does not have, or for some folds of a further partition.
    """
    names = {arm.name for arm in experiment.arms}
    for block in content["blocks"]:
        check_names("arm", block["arms"], names)
        check_names("setting", block["settings"], experiment.settings)
        folds, replicas = experiment.folds, block["replicas"]
        if folds and replicas > folds and replicas % folds:
            raise UserError(
                f"{experiment.name}: {replicas} replicas, but its replicas are {folds} folds of a partition, "
                "or those of several partitions"
            )
    overrides, arm_overrides = content.get("overrides", {}), content.get("arm_overrides", {})
    check_names("arm", arm_overrides, names)
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
