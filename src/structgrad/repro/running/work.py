"""How much longer a training with other hyper-parameters takes: the ratio of what its time is in proportion to.

A rule of thumb, which only estimates use. Of a replica the time grows in proportion to

* how long it is set to train (``epochs`` and ``max_epochs``, or ``steps``); replicas that ended early, by patience or
  because they diverged, would end as early again;
* the items of an epoch (``train``, ``train_sequences``), or of a step (``batch_size``) where steps are counted;
* what is done for each item: ``samples`` of noise, ``candidates`` to rank, ``rounds`` of messages, ``labels``, and the
  width of layers (of several widths the one that grew most);
* how often all that is repeated: ``inner_folds``, and the points of a grid.

More replicas take at most as many times as long; fewer of them, where they train side by side, hardly less than all:
the root of their number is between what holds side by side and one after the other.

The memory beyond what any training takes grows with what one step holds at once, here at most fourfold: most of it is
data, and a job that asked for too little asks for more when it is tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod, sqrt
from typing import Any

from structgrad.repro.running.pace import EARLY, Run

ENDS = {"epochs": "epochs", "max_epochs": "epochs", "steps": "steps"}  # and the clock that counts it
EPOCH = ("train", "train_sequences")
STEP = ("samples", "candidates", "rounds", "labels")
WIDTHS = ("width", "scorer_width", "predictor_width")
GRIDS = ("grid", "learning_rates", "epsilons")
MOST_MEMORY = 4.0


def time_ratio(run: Run, config: Mapping[str, Any]) -> float:
    """Seconds of a replica trained with ``config`` over those of a replica of the run."""
    if run.ends and all(ticks == 0 for _, _, ticks in run.ends):
        return 1.0  # it learns nothing, so that no length of training matters
    items = ("batch_size",) if "steps" in config else EPOCH
    points = [_ratio(_points(run.config.get(name)), _points(config.get(name))) for name in GRIDS]
    return (
        _length(run, config) * _each(run, config, (*STEP, *items, "inner_folds")) * _width(run, config) * prod(points)
    )


def replicas_ratio(run: Run, count: int) -> float:
    """Seconds of ``count`` replicas over those of the run's."""
    return count / run.count if count >= run.count else sqrt(count / run.count)


def memory_ratio(run: Run, config: Mapping[str, Any], count: int) -> float:
    """What one step of ``count`` replicas with ``config`` holds at once, over what one of the run does."""
    more = _each(run, config, (*STEP, "batch_size")) * _width(run, config) * count / run.count
    return min(more, MOST_MEMORY)


def _length(run: Run, config: Mapping[str, Any]) -> float:
    """How much longer it trains; of replicas that ended early, no longer."""
    ends = [name for name in ENDS if _number(config.get(name)) and _number(run.config.get(name))]
    reached = [ticks for stopped, _, ticks in run.ends if stopped not in EARLY]
    if not ends or (run.ends and not reached):
        return 1.0
    name = next((name for name in ends if run.config[name] != config[name]), ends[0])
    if any(clock != ENDS[name] for _, clock, _ in run.ends) or not run.ends:
        return _ratio(run.config[name], config[name])
    # as far as it got: another limit may have ended it before
    early = sum(ticks for stopped, _, ticks in run.ends if stopped in EARLY)
    return (early + len(reached) * config[name]) / (early + sum(reached))


def _each(run: Run, config: Mapping[str, Any], names: Sequence[str]) -> float:
    return prod(_ratio(run.config.get(name), config.get(name)) for name in names)


def _width(run: Run, config: Mapping[str, Any]) -> float:
    return max(
        (_ratio(run.config[name], config[name]) for name in WIDTHS if name in run.config and name in config),
        default=1.0,
    )


def _ratio(before: Any, now: Any) -> float:
    """``now / before`` of two numbers; 1 where one of them is not a number: a data set as large as it is, say."""
    return now / before if _number(before) and _number(now) and before > 0 and now > 0 else 1.0


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _points(grid: Any) -> int | None:
    """How many points a grid has: a list of values, or several by name."""
    if isinstance(grid, Mapping):
        return prod(_points(values) or 1 for values in grid.values())
    return len(grid) if isinstance(grid, Sequence) and not isinstance(grid, str) else None
