"""What an audit looks at and what it says: the scale, its records read once, and findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from structgrad.repro.evidence import records
from structgrad.repro.judging.cells import Cells, collect_all
from structgrad.repro.planning.paths import project_root, results
from structgrad.repro.planning.plan import Plan, load_plan
from structgrad.repro.planning.shard import Shard


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (or, as a note, worth knowing) with one file."""

    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}" if self.file else self.what


@dataclass
class Scene:
    """The scale under audit, and what several checks need of it."""

    plan: Plan
    notes: list[Finding] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The folder of the scale's results."""
        return results(self.plan.scale)

    @cached_property
    def whole(self) -> Plan:
        """The scale without the configuration's selection: what may lie here from other runs."""
        return load_plan(self.plan.scale, {"experiments": "all", "arms": "all", "settings": "all", "replicas": None})

    @cached_property
    def shards(self) -> dict[Path, Shard]:
        """The shard of each path that a record may lie at."""
        return {shard.path: shard for shard in (*self.whole.shards, *self.plan.shards)}

    @cached_property
    def loaded(self) -> dict[Path, dict[str, Any] | records.RecordError]:
        """Every file below records/ that should be a record, or what is wrong with it."""
        loaded: dict[Path, dict[str, Any] | records.RecordError] = {}
        for path in sorted((self.folder / "records").rglob("*.json")):
            try:
                loaded[path] = records.load(path)
            except records.RecordError as error:
                loaded[path] = error
        return loaded

    @cached_property
    def sound(self) -> dict[Path, dict[str, Any]]:
        """The records that are valid and lie where the records of their shards belong."""
        placed = {path: r for path, r in self.loaded.items() if isinstance(r, dict) and path in self.shards}
        return {path: record for path, record in placed.items() if not list(misplaced(record, self.shards[path]))}

    @cached_property
    def _collected(self) -> Cells | records.RecordError:
        try:
            return collect_all(self.plan)
        except records.RecordError as error:
            return error

    @property
    def cells(self) -> Cells:
        """The plan's cells, collected once whatever comes of it.

        Raises:
            RecordError: see :func:`structgrad.repro.judging.cells.collect`.
        """
        if isinstance(self._collected, records.RecordError):
            raise self._collected
        return self._collected

    def name(self, path: Path) -> str:
        """The path relative to the project's root, or as it is where it lies elsewhere."""
        return path.relative_to(project_root()).as_posix() if path.is_relative_to(project_root()) else str(path)


Check = Callable[[Scene], Iterator[Finding]]  # its docstring is what people read


def misplaced(record: Mapping[str, Any], shard: Shard) -> Iterator[str]:
    """Each field in which a record differs from one of the shard whose path it lies at."""
    expected = {
        "id": shard.id,
        "scale": shard.scale,
        "experiment": shard.experiment,
        "setting": shard.setting,
        "arm": shard.arm,
        "replicas": {"first": shard.first, "count": shard.count},
    }
    for key, value in expected.items():
        if record[key] != value:
            yield f"{key}: says {record[key]!r}, but here belongs {value!r}"
