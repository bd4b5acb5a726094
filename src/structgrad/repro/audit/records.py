"""Checks of what each record says: its digest, whether its numbers are possible, and its seeds and data made anew."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import isclose, isfinite
from pathlib import Path

from structgrad.data.sources import at_hand
from structgrad.data.store import CorruptDataError
from structgrad.errors import UserError
from structgrad.repro.audit.scene import Finding, Scene
from structgrad.repro.documents import DocumentError, read_text
from structgrad.repro.evidence.records import RecordError
from structgrad.repro.judging.comparison import first_difference
from structgrad.repro.planning.hyper_parameters import read
from structgrad.repro.planning.paths import project_root
from structgrad.repro.planning.resolve import digester
from structgrad.repro.running import git
from structgrad.repro.running.realdata import data_folder, needed


def records_are_sealed(scene: Scene) -> Iterator[Finding]:
    """every record follows the schema and has the digest of its content"""
    for path, loaded in scene.loaded.items():
        if isinstance(loaded, RecordError):
            fault = str(loaded).removeprefix(f"{path}: ")
            at = _committed_difference(path)
            yield Finding(scene.name(path), fault + (f" (against the committed one: {at})" if at else ""))


def numbers_are_possible(scene: Scene) -> Iterator[Finding]:
    """no record holds more successes than trials, an item outside its metric's bounds or sums that no items have"""
    for path, record in scene.sound.items():
        experiment = scene.whole.experiments[record["experiment"]].experiment
        bounds = {metric.name: metric.bounds for metric in experiment.metrics}
        replicas = [result["replica"] for result in record["results"]]
        first, count = record["replicas"]["first"], record["replicas"]["count"]
        if replicas != list(range(first, first + count)):
            yield Finding(scene.name(path), f"results: not one for each of replicas {first}-{first + count - 1}")
        for result in record["results"]:
            for name, report in result["metrics"].items():
                if name not in bounds:
                    yield Finding(scene.name(path), f"replica {result['replica']}: there is no metric {name}")
                elif not _possible(report, *bounds[name]):
                    numbers = json.dumps(report)
                    yield Finding(scene.name(path), f"replica {result['replica']}, {name}: {numbers} cannot be")


def seeds_follow_from_names(scene: Scene) -> Iterator[Finding]:
    """every seed is the one that its experiment, setting, arm, replica and role give"""
    from structgrad.training.seeds import seeds_for

    for path, record in scene.sound.items():
        experiment = scene.whole.experiments[record["experiment"]].experiment
        first, count = record["replicas"]["first"], record["replicas"]["count"]
        for role, seeds in record["seeds"].items():
            shared, own = (
                seeds_for(experiment.seed_name, record["setting"], arm, first, count, role, experiment.per_data_set)
                for arm in (None, record["arm"])
            )
            # data is what arms share; of the other roles the experiment says which are
            expected = own if role != "data" and seeds[:1] == own[:1] else shared
            if len(seeds) != count:
                yield Finding(scene.name(path), f"seeds.{role}: {len(seeds)} seeds for {count} replicas")
            elif wrong := [i for i, (a, b) in enumerate(zip(seeds, expected, strict=True)) if a != b]:
                i = wrong[0]
                fault = f"seeds.{role}, replica {first + i}: {seeds[i]}, but its names give {expected[i]}"
                yield Finding(scene.name(path), fault)


def data_is_the_same(scene: Scene) -> Iterator[Finding]:
    """the data, generated or read anew, has the digest that the record names"""
    known: dict[str, str] = {}
    unseen = 0
    for path, record in scene.sound.items():
        experiment = scene.whole.experiments[record["experiment"]].experiment
        key = json.dumps([experiment.package, record["config"], record["setting"], record["seeds"].get("data")])
        if key not in known:
            seeds = record["seeds"].get("data", [])
            try:
                parameters = read(experiment, record["config"], record["setting"])
                with data_folder(scene.plan):
                    if not all(map(at_hand, needed(experiment, parameters, record["setting"]))):
                        unseen += 1
                        continue
                    known[key] = digester(experiment)(parameters, record["setting"], seeds)
            except CorruptDataError as error:
                yield Finding(scene.name(path), str(error))
                continue
            except (UserError, KeyError, TypeError, ValueError, RuntimeError) as error:
                yield Finding(scene.name(path), f"no data can be made from its config and seeds ({error!r})")
                continue
        if record["provenance"]["data_digest"] != known[key]:
            told = f"provenance.data_digest: {record['provenance']['data_digest'][:12]}, but the data made anew has"
            yield Finding(scene.name(path), f"{told} {known[key][:12]}")
    if unseen:
        told = f"{unseen} records learned from real data that is not at hand: its digest could not be compared"
        scene.notes.append(Finding("", f"{told} (structgrad data fetch)"))


def _possible(report: Mapping[str, float], low: float, high: float) -> bool:
    if "trials" in report:
        return report["successes"] <= report["trials"]
    total, squares, count = report["sum"], report["sum_squares"], report["count"]
    # sum^2 / n <= sum of squares (Cauchy-Schwarz) <= (low + high) sum - low high n, since (x - low)(high - x) >= 0
    squares_between = [total * total / count, squares]
    if isfinite(low) and isfinite(high):
        squares_between.append((low + high) * total - low * high * count)
    sum_between = [low * count, total, high * count]
    return all(
        a <= b or isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)
        for ordered in (squares_between, sum_between)
        for a, b in pairwise(ordered)
    )


def _committed_difference(path: Path) -> str | None:
    """Where a file differs from the committed one, where there is one."""
    name = path.relative_to(project_root()).as_posix()
    try:
        now = read_text(path, follow=False).encode("utf-8")
        difference = first_difference(now, git.ask("show", f"HEAD:./{name}"), path.suffix)
    except (DocumentError, git.NoRepositoryError):
        return None
    return difference and difference.replace("rebuilding gives", "was")
