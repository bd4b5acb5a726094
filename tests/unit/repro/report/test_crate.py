"""The research object: what the Workflow Run Crate profile requires, its size, and that an edit of it is found.

`.ci/run` holds the crates to the profile with a validator of others (``tests/crate``); these are the same clauses, told
from the profile's text, so that they are held without it.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

import pytest

from structgrad.files import sha256
from structgrad.repro import audit
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.report import manifest, one_workflow, rocrate


@pytest.fixture
def here(finished):
    return results(finished.scale)


@pytest.fixture
def entities(here) -> dict[str, dict[str, Any]]:
    graph = json.loads((here / rocrate.NAME).read_text(encoding="utf-8"))["@graph"]
    found = {entity["@id"]: entity for entity in graph}
    assert len(found) == len(graph)
    return found


def kinds(entity):
    return {entity["@type"]} if isinstance(entity["@type"], str) else set(entity["@type"])


def pointed(value):
    return [one["@id"] for one in (value if isinstance(value, list) else [value])]


def test_what_the_profile_requires(entities):
    root, descriptor = entities["./"], entities["ro-crate-metadata.json"]
    assert descriptor["about"] == {"@id": "./"}
    assert {"https://w3id.org/ro/crate/1.1", "https://w3id.org/workflowhub/workflow-ro-crate/1.0"} <= {
        *pointed(descriptor["conformsTo"])
    }
    profiles = pointed(root["conformsTo"])
    assert "https://w3id.org/ro/wfrun/workflow/0.5" in profiles
    assert all(kinds(entities[profile]) == {"CreativeWork"} for profile in profiles)
    (main,) = pointed(root["mainEntity"])
    workflow = entities[main]
    assert {"File", "SoftwareSourceCode", "ComputationalWorkflow"} <= kinds(workflow)
    assert workflow["name"]
    language = entities[workflow["programmingLanguage"]["@id"]]
    assert kinds(language) == {"ComputerLanguage"}
    assert language["name"] == "Snakemake"
    assert main in pointed(root["hasPart"])
    actions = {name: entity for name, entity in entities.items() if "CreateAction" in kinds(entity)}
    assert set(actions) == set(pointed(root["mentions"]))
    assert [name for name, action in actions.items() if action["instrument"]["@id"] == main] == ["#run"]
    assert all(pointed(action["result"]) for action in actions.values())
    (parameter,) = pointed(workflow["input"])
    assert entities[parameter]["additionalType"]
    assert entities[entities[parameter]["workExample"]["@id"]]["value"] == "paper"


def test_it_names_every_file_or_its_folder(here, entities):
    parts = {unquote(name) for name in pointed(entities["./"]["hasPart"])}
    for path in manifest.files("paper"):
        name = path.relative_to(here).as_posix()
        if name != rocrate.NAME:
            assert name in parts or any(part.endswith("/") and name.startswith(part) for part in parts), name
    assert entities["tables/indelman_1a.csv"]["sha256"] == sha256(here / "tables/indelman_1a.csv")
    assert entities[one_workflow.NAME]["sha256"] == sha256(here / one_workflow.NAME)
    assert entities["#authors"]["name"] == "The structgrad authors"
    assert entities["./"]["datePublished"] == "2025-01-01T00:01:00Z"
    raw = (here / rocrate.NAME).read_text(encoding="utf-8")
    assert str(here) not in raw
    links = {name for name in re.findall(r'\{\s*"@id": "([^"]+)"\s*\}', raw) if not name.startswith("http")}
    assert links <= set(entities)


def test_a_library_can_read_it(here):
    from rocrate.rocrate import ROCrate

    crate: Any = ROCrate(here)
    assert crate.mainEntity.id == one_workflow.NAME
    assert crate.root_dataset["license"].id == rocrate.LICENSE


def test_the_workflow_is_the_snakefile_with_its_rules(here):
    text = (here / one_workflow.NAME).read_text(encoding="utf-8")
    assert "include:" not in text
    assert {"rule data:", "rule report:", "rule all:", "rule audit:"} <= set(
        re.findall(r"^rule \w+:", text, re.MULTILINE)
    )


def test_it_does_not_grow_with_the_records(project, fabricate, sorted_report):
    """A hundred records more, and not an entity more."""
    plan = load_plan("paper", {"experiments": ["indelman_1a"], "settings": ["d=5"], "arms": ["direct"], "slice": 1})
    sizes = []
    for shards in (plan.shards[:2], plan.shards[2:]):
        for shard in shards:
            fabricate(plan, shard, [sorted_report(1, 90)])
        crate = rocrate.build_crate(load_plan("paper", dict(plan.config)))
        sizes.append((len(json.loads(crate)["@graph"]), len(crate)))
    assert len(plan.shards) > 100
    (few, small), (many, large) = sizes
    assert few == many
    assert large < 1.01 * small


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"The structgrad authors"', '"Somebody else"'),
        ('"sha256": "', '"sha256": "0'),
        ('"Hedda Cohen Indelman"', '"H. C. Indelman"'),
        ('"value": "paper"', '"value": "desktop"'),
        ('"endTime": "2025', '"endTime": "2024'),
    ],
)
def test_an_edit_is_found(finished, here, old, new):
    text = (here / rocrate.NAME).read_text(encoding="utf-8")
    assert old in text
    (here / rocrate.NAME).write_text(text.replace(old, new, 1), encoding="utf-8")
    manifest.write(finished.scale)  # by somebody who knows about it
    (found,) = audit.crate_rebuilds(audit.Scene(finished))
    assert found.file == "results/paper/ro-crate-metadata.json"


def test_an_edit_of_the_workflow_is_found(finished, here):
    path = here / one_workflow.NAME
    path.write_text(path.read_text(encoding="utf-8").replace("rule report", "rule pretend"), encoding="utf-8")
    assert [found.file for found in audit.crate_rebuilds(audit.Scene(finished))] == ["results/paper/workflow.smk"]
