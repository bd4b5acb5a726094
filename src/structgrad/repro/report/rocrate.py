"""ro-crate-metadata.json: a scale's results as a Workflow Run Crate, for repositories and other machines to read.

Profile: Workflow Run Crate 0.5 (https://w3id.org/ro/wfrun/workflow/0.5), whose main entity is the workflow, with one
run of it; beside it one CreateAction an experiment says what trained its records. However many records there are, the
crate has the same entities: an experiment's records are one folder of it, and ``MANIFEST.sha256``, which is part of
the crate, lists each of them once, with its digest. No random ids and no today: the crate of the same files is the
same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from structgrad import __version__
from structgrad.experiments import PAPERS, PUBLISHED
from structgrad.files import sha256
from structgrad.repro.evidence.attestations import processor_of
from structgrad.repro.evidence.records import load
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import Plan
from structgrad.repro.report import manifest, one_workflow

NAME = "ro-crate-metadata.json"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
WORKFLOW_PROFILE = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
LICENSE = "https://spdx.org/licenses/MIT"
AUTHORS = "The structgrad authors"  # as pyproject.toml names them
SOFTWARE = "#structgrad"
LONG_AGO = "1970-01-01T00:00:00+00:00"
COMPLETED = "http://schema.org/CompletedActionStatus"
FOLDER = "records/"
HOMES = {
    "numba": "https://numba.pydata.org",
    "numpy": "https://numpy.org",
    "python": "https://www.python.org",
    "scipy": "https://scipy.org",
    "torch": "https://pytorch.org",
}
# spelled out: what the machine's own tables say differs from machine to machine
KINDS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".svg": "image/svg+xml",
    ".tex": "application/x-tex",
}

Records = Mapping[str, Sequence[Mapping[str, Any]]]


def build_crate(plan: Plan) -> bytes:
    """The metadata of the files that are there now, the manifest included, itself left out.

    Raises:
        RecordError: a record is damaged.
    """
    from rocrate.model import ContextEntity
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms = {"sha256": "https://schema.org/sha256"}

    def add(identity: str, kind: str, **properties: Any) -> Any:
        return crate.add(ContextEntity(crate, identity, properties={"@type": kind, **properties}))

    authors = add("#authors", "Organization", name=AUTHORS)
    licence = add(LICENSE, "CreativeWork", name="MIT License", identifier=LICENSE)
    profiles = [add(at, "CreativeWork", name=name, version=version) for at, (name, version) in PROFILES.items()]
    cited = {p.experiment.paper for p in plan.experiments.values()} & PUBLISHED.keys()
    papers = [_paper(add, name) for name in sorted(cited)]
    records = _records(plan)
    runs = [record["run"] for own in records.values() for record in own]
    started = min((run["started"] for run in runs), default=LONG_AGO)
    finished = max((run["finished"] for run in runs), default=LONG_AGO)
    software = _software(add, records)

    root = crate.root_dataset
    crate.name = f"structgrad: results at scale {plan.scale}"
    crate.description = "; ".join(
        f"{p.experiment.paper} {p.experiment.heading} ({p.experiment.title}): {p.reason}"
        for p in plan.experiments.values()
    )
    root["datePublished"] = finished
    root["license"], root["author"], root["publisher"] = licence, authors, authors
    root["conformsTo"], root["citation"] = profiles, papers

    workflow = _workflow(crate, add, licence, authors)
    files = _files(crate, plan)
    trained = {name: _folder(crate, name, own) for name, own in records.items()}
    for name, own in records.items():
        action = add(f"#train/{name}", "CreateAction", **_training(name, own), instrument=software, agent=authors)
        action["result"] = trained[name]
        if data := files.get(f"data/{name}.json"):
            action["object"] = data
        root.append_to("mentions", action)
    scale = add("#scale", "FormalParameter", name="scale", additionalType="Text", valueRequired=True)
    value = add("#scale-value", "PropertyValue", name="scale", value=plan.scale)
    scale["workExample"], value["exampleOfWork"], workflow["input"] = value, scale, scale
    run = add(
        "#run",
        "CreateAction",
        name=f"The workflow at scale {plan.scale}: data, training, tables, figures, claims and report",
        description=f"structgrad reproduce --scale {plan.scale}; in one go or in several, which keep what is there",
        startTime=started,
        endTime=finished,
        actionStatus=COMPLETED,
        instrument=workflow,
        agent=authors,
        object=value,
    )
    run["result"] = [*trained.values(), *files.values()]
    root.append_to("mentions", run)
    return (json.dumps(crate.metadata.generate(), indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def _records(plan: Plan) -> Records:
    """The records that are there, by experiment."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for shard in plan.shards:
        if shard.path.is_file():
            found.setdefault(shard.experiment, []).append(load(shard.path))
    return found


def _paper(add: Any, name: str) -> Any:
    paper = PAPERS[name]
    people = [add(f"#{who.replace(' ', '-')}", "Person", name=who) for who in paper.authors]
    about = {"name": paper.title, "author": people, "datePublished": str(paper.year), "url": paper.url}
    return add(paper.url, "ScholarlyArticle", **about)


def _workflow(crate: Any, add: Any, licence: Any, authors: Any) -> Any:
    """The main entity."""
    about = {
        "name": "structgrad: data, training, tables, figures, claims, report",
        "description": "The Snakefile with its rules in one text, to read; it runs in a checkout, as `make reproduce`",
        "encodingFormat": "text/plain",
        "sha256": one_workflow.digest(),
        "conformsTo": add(WORKFLOW_PROFILE, "CreativeWork", name="Bioschemas ComputationalWorkflow", version="1.0"),
        "license": licence,
        "author": authors,
        "url": "https://snakemake.readthedocs.io",
        "version": __version__,
    }
    return crate.add_workflow(dest_path=one_workflow.NAME, properties=about, main=True, lang="snakemake")


def _files(crate: Any, plan: Plan) -> dict[str, Any]:
    """All that is there but for records, the workflow and the crate itself."""
    folder, files = results(plan.scale), {}
    for path in [*manifest.files(plan.scale), folder / manifest.NAME]:
        name = path.relative_to(folder).as_posix()
        if name not in (NAME, one_workflow.NAME) and not name.startswith(FOLDER):
            files[name] = crate.add_file(dest_path=name, properties=_about(path, name))
    return files


def _about(path: Path, name: str) -> dict[str, Any]:
    about: dict[str, Any] = {"name": name, "encodingFormat": KINDS.get(path.suffix, "text/plain")}
    if name == manifest.NAME:  # it lists this file, so this file cannot hold its digest
        return about | {"description": "the sha256 of every file of this crate, each record among them"}
    return about | {"contentSize": str(path.stat().st_size), "sha256": sha256(path)}


def _folder(crate: Any, name: str, records: Sequence[Mapping[str, Any]]) -> Any:
    about = {
        "name": f"the {len(records)} records of {name}",
        "description": f"one file each, with their digests in {manifest.NAME}",
    }
    return crate.add_dataset(dest_path=f"{FOLDER}{name}", properties=about)


def _training(name: str, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What trained an experiment's records, together."""
    runs = [record["run"] for record in records]
    sources = sorted({record["provenance"]["source_digest"][:12] for record in records})
    processors = sorted({processor_of(run["hardware"]) for run in runs})
    seconds = sum(run["seconds"] for run in runs)
    return {
        "name": f"Train {len(records)} records of {name}",
        "description": f"{seconds / 3600:.2f} hours on {', '.join(processors)}; sources {', '.join(sources)}",
        "startTime": min(run["started"] for run in runs),
        "endTime": max(run["finished"] for run in runs),
        "actionStatus": COMPLETED,
    }


def _software(add: Any, records: Records) -> Any:
    """This package and the libraries that the records name, each version once."""
    made = [record["provenance"] for own in records.values() for record in own]
    named = {pair for one in made for pair in one["libraries"].items() if pair[0] != "structgrad"}
    libraries = [
        add(f"#{name}-{version}", "SoftwareApplication", name=name, softwareVersion=version, **_home(name))
        for name, version in sorted(named)
    ]
    commits = sorted({one["git_commit"] or "unknown" for one in made})
    return add(
        SOFTWARE,
        "SoftwareApplication",
        name="structgrad",
        softwareVersion=__version__,
        description=f"records made at commit {', '.join(commits)}" if commits else "no records",
        softwareRequirements=libraries,
    )


def _home(name: str) -> dict[str, str]:
    return {"url": HOMES[name]} if name in HOMES else {}
