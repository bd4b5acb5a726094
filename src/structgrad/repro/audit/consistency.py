"""Checks of what each record says against what it says elsewhere: an edit rarely changes all that hangs together.

They train nothing and believe no digest: whoever made a number up has to make up all that follows from it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from math import isclose
from pathlib import Path
from typing import Any

from structgrad.experiments import Experiment, Metric
from structgrad.repro.audit.scene import Finding, Scene
from structgrad.repro.planning.resolve import resolved

Record = Mapping[str, Any]
CLOSE = 1e-9  # relative: sums over replicas in another order
LIMITS = {"epoch": ("max_epochs", "epochs"), "step": ("steps",), "call": ("budget",)}  # what ends a training


def curves_fit_results(scene: Scene) -> Iterator[Finding]:
    """every curve is as long as its record's results say, no training is longer than its hyper-parameters allow"""
    yield from _of_each(scene, _curves)


def selections_fit_curves(scene: Scene) -> Iterator[Finding]:
    """every trial of a search has the point that its seed gives, and the validation that its curve shows"""
    yield from _of_each(scene, _selection)


def metrics_are_whole(scene: Scene) -> Iterator[Finding]:
    """every replica has its arm's metrics, over the items that the config says, and none contradicts another"""
    yield from _of_each(scene, _metrics)
    arms: dict[tuple[str, str, str], dict[frozenset[str], list[Path]]] = {}
    for path, record in scene.sound.items():
        for what, names in (("seeds", record["seeds"]), ("metrics", record["results"][0]["metrics"])):
            arm = arms.setdefault((record["experiment"], record["arm"], what), {})
            arm.setdefault(frozenset(names), []).append(path)
    for (_, _, what), own in arms.items():
        usual = max(own, key=lambda names: (len(own[names]), len(names)))
        for names, path in ((names, path) for names, paths in own.items() for path in paths):
            if names != usual:
                differing = ", ".join(sorted(names ^ usual))
                yield Finding(scene.name(path), f"{what}: not those of its arm's other records ({differing})")


def trainings_are_told_apart(scene: Scene) -> Iterator[Finding]:
    """no two trainings of other seeds or hyper-parameters have the same curves and results to the last digit"""
    seen: dict[str, tuple[Path, str]] = {}
    for path, record in scene.sound.items():
        if not record["history"].get("loss"):
            continue
        told = json.dumps([record["history"], record["results"]], sort_keys=True)
        made_of = json.dumps([record["config"], record["seeds"], record["setting"]], sort_keys=True)
        other, of = seen.setdefault(told, (path, made_of))
        if of != made_of:
            yield Finding(scene.name(path), f"the same curves and results as {scene.name(other)}, another training")


def _of_each(scene: Scene, faults: Callable[[Record, Experiment], Iterator[str]]) -> Iterator[Finding]:
    for path, record in scene.sound.items():
        experiment = scene.whole.experiments[record["experiment"]].experiment
        yield from (Finding(scene.name(path), fault) for fault in faults(record, experiment))


def _curves(record: Record, experiment: Experiment) -> Iterator[str]:
    history, results, clock = record["history"], record["results"], experiment.clock
    lengths = [result.get(f"{clock}s") for result in results]
    if None in lengths:
        yield f"results: they count no {clock}s"
        return
    if len({len(curve) for curve in history.values()}) > 1:
        yield "history: its curves have different lengths"
        return
    if times := history.get(clock):
        if any(a >= b for a, b in pairwise(times)):
            yield f"history.{clock}: does not grow"
        if times[-1] != max(lengths):
            yield f"history.{clock}: ends at {times[-1]:g}, the longest training at {max(lengths)}"
        best_alone = bool(experiment.selected_by) and set(history.get("active", ())) == {1.0}  # of a search's trials
        for time, active in zip(times, () if best_alone else history.get("active", ()), strict=False):
            if active != sum(length >= time for length in lengths):
                yield f"history.active: {active:g} at {clock} {time:g}, where the results have another number"
                break
    elif history:
        yield f"history: has no {clock}"
    yield from _lengths(record, experiment)


def _lengths(record: Record, experiment: Experiment) -> Iterator[str]:
    config, clock = record["config"], experiment.clock
    limit = next((config[name] for name in LIMITS[clock] if isinstance(config.get(name), int)), None)
    for result in record["results"]:
        length, stopped, who = result[f"{clock}s"], result["stopped"], f"replica {result['replica']}"
        if limit is not None and length > limit:
            yield f"{who}: {length} {clock}s, at most {limit} were allowed"
        elif limit is not None and stopped.startswith("max") and length < limit and not config.get("max_steps"):
            yield f"{who}: stopped by {stopped} after {length} of {limit} {clock}s"
        elif stopped == "patience" and length <= (config.get("patience") or length):
            yield f"{who}: stopped by patience after {length} {clock}s, with a patience of {config.get('patience')}"
        elif stopped == "untrained" and length:
            yield f"{who}: untrained after {length} {clock}s"


def _selection(record: Record, experiment: Experiment) -> Iterator[str]:
    results, history, objective = record["results"], record["history"], experiment.selected_by
    config, seeds = record["config"], record["seeds"].get("search")
    if seeds and "search" in config:
        from structgrad.training.search import draw

        boxes = {
            name: box for name, box in config["search"].items() if name in config.get("searched", config["search"])
        }
        for result, seed in zip(results, seeds, strict=False):
            for name, value in draw(boxes, seed).items():
                if result["final"].get(name) != value:
                    said = result["final"].get(name, "missing")
                    yield f"replica {result['replica']}: final.{name}: {said}, but its seed and box give {value}"
    values = [result["final"].get("validation") for result in results]
    if objective is None or None in values or not history.get(objective):
        return
    best, curve = sum(values) / len(values), history[objective]
    whole = [value for value, active in zip(curve, history["active"], strict=False) if active == len(results)]
    if whole and best < max(whole) and not isclose(best, max(whole), rel_tol=CLOSE):
        yield f"final.validation: {best:g} on average, but the curve {objective} reaches {max(whole):g}"
    if len(results) == 1 and "best_step" in results[0]["final"]:
        yield from _best(results[0], history, objective, experiment.clock)


def _best(result: Mapping[str, Any], history: Mapping[str, Any], objective: str, clock: str) -> Iterator[str]:
    """A trial's best validation lies on its curve, unless it was the one before the first step."""
    at, value = result["final"]["best_step"], result["final"]["validation"]
    if at == 0:
        return
    there = dict(zip(history[clock], history[objective], strict=False)).get(at)
    if there is None or not isclose(there, value, rel_tol=CLOSE):
        said = "nothing" if there is None else f"{there:g}"
        yield f"replica {result['replica']}: final.validation: {value:g}, but at {clock} {at:g} the curve has {said}"


def _metrics(record: Record, experiment: Experiment) -> Iterator[str]:
    known = {metric.name: metric for metric in experiment.metrics}
    config = resolved(experiment, record["config"], record["setting"])
    first = record["results"][0]["metrics"]
    for result in record["results"]:
        who, metrics = f"replica {result['replica']}", result["metrics"]
        for name in sorted(first.keys() ^ metrics.keys()):
            yield f"{who}: {name} is there for some replicas and not for others"
        for name in sorted(metrics.keys() & known.keys()):
            yield from (f"{who}, {name}: {fault}" for fault in _metric(known[name], metrics, config))


def _metric(metric: Metric, metrics: Mapping[str, Mapping[str, float]], config: Mapping[str, Any]) -> Iterator[str]:
    report = metrics[metric.name]
    if ("trials" in report) != (metric.kind == "proportion"):
        yield f"no {metric.kind}"
        return
    count = report["trials" if metric.kind == "proportion" else "count"]
    wanted = config.get(metric.items) if metric.items else None
    if isinstance(wanted, int) and count != wanted:
        yield f"over {count} items, where {metric.items} is {wanted}"
    if metric.at_success is None or metric.at_success[0] not in metrics:
        return
    name, value = metric.at_success
    of, (low, high) = metrics[name], metric.bounds
    successes, failures = of["successes"], of["trials"] - of["successes"]
    others = report["sum"] - successes * value
    if of["trials"] != count:
        yield f"over {count} items, but {name} over {of['trials']}"
    elif not failures * low - CLOSE * count <= others <= failures * high + CLOSE * count:
        yield f"a sum of {report['sum']:g} is impossible with {successes} of {count} in {name}"
    elif failures and isclose(others, failures * value, rel_tol=CLOSE, abs_tol=CLOSE):
        yield f"a sum of {report['sum']:g} leaves none wrong, but {name} has {failures} failures"
