"""A scale's records, drawn, trained anew beside what is there, and what that proves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from structgrad.data.sources import at_hand
from structgrad.errors import UserError
from structgrad.repro.evidence.records import load
from structgrad.repro.planning.plan import Plan
from structgrad.repro.planning.shard import Shard
from structgrad.repro.replay.drawing import bound, draw, pool_digest
from structgrad.repro.replay.outcomes import Outcome, judge
from structgrad.repro.running import places
from structgrad.repro.running.realdata import data_folder, needed
from structgrad.repro.running.run import check_device, run_shard

EVERY = 60.0  # seconds between checkpoints


@dataclass(frozen=True)
class Replayed:
    """One record that was drawn: what it says of itself, what its replay says of it, and what that took."""

    shard: Shard
    record: Mapping[str, Any]
    again: Mapping[str, Any]
    outcome: Outcome


@dataclass(frozen=True)
class Drawn:
    """What is to be trained anew.

    Attributes:
        shards: in the order of the draw.
        seconds: that their records took, together.
        of: how many records could have been drawn.
        pool: what :func:`structgrad.repro.replay.drawing.pool_digest` says of them.
        left_out: those that could not, for want of data.
        asked: the text that drew, how many were wanted and in which minutes, if any.
    """

    shards: Sequence[Shard]
    seconds: float
    of: int
    pool: str
    left_out: Sequence[str]
    asked: tuple[str, int, float | None]

    @property
    def weighted(self) -> bool:
        """Whether what is cheap was drawn more often."""
        return self.asked[2] is not None


def drawn(plan: Plan, count: int, text: str, minutes: float | None) -> Drawn:
    """The records of the scale that the text draws.

    Raises:
        UserError: there are none, or one of them is damaged.
    """
    check_device(plan.config["device"])
    records = {shard.id: load(shard.path) for shard in plan.shards if shard.path.is_file()}
    with data_folder(plan):
        here = {name for name in records if _has_data(plan, plan.shard(name))}
    if not here:
        raise UserError(f"no record of scale {plan.scale} can be trained anew here; see: structgrad list --shards")
    seconds = {name: records[name]["run"]["seconds"] for name in sorted(here)}
    chosen = draw(seconds, count, text, minutes)
    spent = sum(seconds[name] for name in chosen)
    left_out = sorted(records.keys() - here)
    shards, asked = [plan.shard(name) for name in chosen], (text, count, minutes)
    return Drawn(shards, spent, len(here), pool_digest(seconds), left_out, asked)


def replay(plan: Plan, shard: Shard, show: Callable[[int, int, dict[str, float]], None]) -> Replayed:
    """Train one record anew, in a folder that nothing else reads."""
    record, place = load(shard.path), places.again(shard)
    place.checkpoint.unlink(missing_ok=True)  # all of it is trained now
    again = run_shard(plan, shard, show, plan.config["threads"], EVERY, None, place)
    return Replayed(shard, record, again, judge(record, again, plan.experiments[shard.experiment].experiment))


def made_up_below(outcomes: Sequence[Outcome]) -> float:
    """The bound on the share of records that are made up, from the outcomes that are decided."""
    decided = [outcome for outcome in outcomes if outcome.verdict != "undecided"]
    return bound(len(decided), sum(not outcome.confirms for outcome in decided))


def proven(of: int, weighted: bool, outcomes: Sequence[Outcome]) -> str:
    """One sentence: how many were confirmed, and what follows for all ``of`` records that could have been drawn."""
    decided = [outcome for outcome in outcomes if outcome.verdict != "undecided"]
    conflicts = sum(not outcome.confirms for outcome in decided)
    counted = " (each counted by its chance to be drawn)" if weighted else ""
    told = f"{len(decided) - conflicts} of {len(decided)} match"
    undecided = len(outcomes) - len(decided)
    beside = f", {undecided} could not be decided" if undecided else ""
    if not decided:
        return f"{told}{beside}: that proves nothing"
    percent = f"{100 * made_up_below(outcomes):.2g} %"
    return f"{told}{beside}: fewer than {percent} of the {of} records{counted} are made up, with 95 % confidence"


def _has_data(plan: Plan, shard: Shard) -> bool:
    part = plan.experiments[shard.experiment]
    return all(map(at_hand, needed(part.experiment, part.parameters_for(shard), shard.setting)))
