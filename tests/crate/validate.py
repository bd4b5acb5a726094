"""Hold the crates of folders to Workflow Run Crate 0.5 with roc-validator, offline: `python validate.py results/paper`.

It runs in the environment of ``requirements.lock`` beside it (`.ci/run` makes one). A validator asks the network for
RO-Crate's context. This one gets that of release 1.3, which ``rocrate`` holds, with those terms put back that the
profiles' shapes for 1.1 look for.
"""

from __future__ import annotations

import json
import logging
import sys
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

from rocrate_validator import models, services
from rocrate_validator.utils import http

PROFILE = "workflow-run-crate"
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
OF_1_1 = {
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    "FormalParameter": "https://bioschemas.org/FormalParameter",
    "input": "https://bioschemas.org/ComputationalWorkflow#input",
    "output": "https://bioschemas.org/ComputationalWorkflow#output",
}


def context(_: object, url: str, *__: object, **___: object) -> SimpleNamespace:
    """The answer to a request for the context; there is no other."""
    if url != CONTEXT:
        raise ConnectionError(f"nothing here answers for {url}")
    held = json.loads((files("rocrate") / "data" / "ro-crate.jsonld").read_text(encoding="utf-8"))["@context"]
    text = json.dumps({"@context": held | OF_1_1})
    return SimpleNamespace(
        status_code=200, ok=True, url=url, text=text, content=text.encode(), history=[], from_cache=True,
        headers={"Content-Type": "application/ld+json"}, json=lambda: json.loads(text), raise_for_status=lambda: None,
    )  # fmt: skip


def faults(folder: Path) -> list[str]:
    """What the profile, and those that it builds on, require and the crate lacks."""
    settings = services.ValidationSettings(
        rocrate_uri=str(folder), profile_identifier=PROFILE, requirement_severity=models.Severity.REQUIRED, offline=True
    )
    return [f"{issue.check.identifier}: {issue.message}" for issue in services.validate(settings).get_issues()]


def main(folders: list[str]) -> int:
    """Print each crate's faults; 1 where there are any."""
    logging.disable(logging.CRITICAL)
    http.HttpRequester.get = context
    found = {folder: faults(Path(folder)) for folder in folders}
    for folder, own in found.items():
        print(f"{folder}: {'; '.join(own) or f'a valid {PROFILE}'}")
    return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
