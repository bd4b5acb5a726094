"""ro-crate-metadata.json: a scale's results as a Process Run Crate, for repositories and other machines to read.

Profile: Process Run Crate 0.5. Each record is the result of one CreateAction (a training job) whose instrument is
this package; tables, figures, claims and report are the result of one more. No random ids and no today: the
crate of the same files is the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from structgrad import __version__
from structgrad.experiments import PAPERS, PUBLISHED
from structgrad.files import sha256
from structgrad.repro.evidence.records import load
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import Plan
from structgrad.repro.report import manifest

NAME = "ro-crate-metadata.json"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
LICENSE = "https://spdx.org/licenses/MIT"
SOFTWARE = "#structgrad"
# spelled out: what the machine's own tables say differs from machine to machine
KINDS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".svg": "image/svg+xml",
    ".tex": "application/x-tex",
}


def build_crate(plan: Plan) -> bytes:
    """The metadata of the files that are there now, the manifest included, itself left out.

    Raises:
        RecordError: a record is damaged.
    """
    from rocrate.model import ContextEntity, Person
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms = {"sha256": "https://schema.org/sha256"}

    def add(identity: str, properties: Mapping[str, Any]) -> Any:
        return crate.add(ContextEntity(crate, identity, properties=dict(properties)))

    maintainers = crate.add(Person(crate, "#maintainers", properties={"name": "structgrad maintainers"}))
    profile = add(PROFILE, {"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"})
    licence = add(LICENSE, {"@type": "CreativeWork", "name": "MIT License", "identifier": LICENSE})
    cited = {p.experiment.paper for p in plan.experiments.values()} & PUBLISHED.keys()
    papers = [_paper(crate, add, name) for name in sorted(cited)]
    records = _records(plan)
    finished = max((record["run"]["finished"] for record in records.values()), default="1970-01-01T00:00:00+00:00")
    software = _software(add, records)

    root = crate.root_dataset
    crate.name = f"structgrad: results at scale {plan.scale}"
    crate.description = "; ".join(
        f"{p.experiment.paper} {p.experiment.heading} ({p.experiment.title}): {p.reason}"
        for p in plan.experiments.values()
    )
    root["datePublished"] = finished
    root["license"], root["author"], root["conformsTo"], root["citation"] = licence, maintainers, profile, papers

    files = {}
    for path in [*manifest.files(plan.scale), results(plan.scale) / manifest.NAME]:
        name = path.relative_to(results(plan.scale)).as_posix()
        if name != NAME:
            files[name] = crate.add_file(dest_path=name, properties=_about(path, name))
    actions = []
    for name, record in records.items():
        properties = {"instrument": software, "result": [files[name]], **_action(record)}
        data = files.get(f"data/{record['experiment']}.json")
        actions.append(add(f"#train/{record['id']}", properties | ({"object": [data]} if data else {})))
    derived = {
        "@type": "CreateAction",
        "name": "Derive tables, figures, claims and report from the records",
        "instrument": software,
        "endTime": finished,
        "actionStatus": "http://schema.org/CompletedActionStatus",
        "object": [files[name] for name in records],
        "result": [entity for name, entity in files.items() if name not in records and not name.startswith("data/")],
    }
    root["mentions"] = [*actions, add("#derive", derived)]
    return (json.dumps(crate.metadata.generate(), indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def _records(plan: Plan) -> dict[str, dict[str, Any]]:
    folder = results(plan.scale)
    return {
        shard.path.relative_to(folder).as_posix(): load(shard.path) for shard in plan.shards if shard.path.is_file()
    }


def _paper(crate: Any, add: Any, name: str) -> Any:
    from rocrate.model import Person

    paper = PAPERS[name]
    people = [crate.add(Person(crate, f"#{who.replace(' ', '-')}", properties={"name": who})) for who in paper.authors]
    properties = {"name": paper.title, "author": people, "datePublished": str(paper.year), "url": paper.url}
    return add(paper.url, {"@type": "ScholarlyArticle", **properties})


def _software(add: Any, records: Mapping[str, Any]) -> Any:
    """This package and the libraries that the records name, each version once."""
    named = {
        (name, version)
        for record in records.values()
        for name, version in record["provenance"]["libraries"].items()
        if name != "structgrad"
    }
    libraries = [
        add(f"#{name}-{version}", {"@type": "SoftwareApplication", "name": name, "softwareVersion": version})
        for name, version in sorted(named)
    ]
    commits = sorted({record["provenance"]["git_commit"] or "unknown" for record in records.values()})
    properties = {
        "@type": "SoftwareApplication",
        "name": "structgrad",
        "softwareVersion": __version__,
        "description": f"records made at commit {', '.join(commits)}" if commits else "no records",
        "softwareRequirements": libraries,
    }
    return add(SOFTWARE, properties)


def _about(path: Path, name: str) -> dict[str, Any]:
    kind = KINDS.get(path.suffix, "text/plain")
    about: dict[str, Any] = {"name": name, "encodingFormat": kind}
    if name != manifest.NAME:  # the manifest lists this file, so this file cannot hold its digest
        about |= {"contentSize": str(path.stat().st_size), "sha256": sha256(path)}
    return about


def _action(record: Mapping[str, Any]) -> dict[str, Any]:
    ran, made = record["run"], record["provenance"]
    return {
        "@type": "CreateAction",
        "name": f"Train {record['id']} at scale {record['scale']}",
        "description": f"{made['command']} (sources {made['source_digest'][:12]}, data {made['data_digest'][:12]})",
        "startTime": ran["started"],
        "endTime": ran["finished"],
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
