"""A check of the files of data digests: what a training's data is held to before it begins."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from structgrad.repro.audit.scene import Finding, Scene
from structgrad.repro.documents import DocumentError, parse_json, read_text

DIGEST = re.compile(r"[0-9a-f]{64}")
SPAN = re.compile(r"(0|[1-9]\d*)-(0|[1-9]\d*)")


def data_files_fit_the_records(scene: Scene) -> Iterator[Finding]:
    """every digest of data on file is that of the records which learned from it"""
    unused = 0
    for path in sorted((scene.folder / "data").glob("*.json")):
        if path.stem not in scene.whole.experiments or not path.is_file():
            continue  # findings of other checks
        try:
            digests = _digests(path, path.stem, scene.plan.scale)
        except DocumentError as error:
            yield Finding(scene.name(path), str(error).removeprefix(f"{path}: "))
            continue
        trained = _trained(scene, path.stem)
        settings = scene.whole.experiments[path.stem].experiment.settings
        for name, digest in digests.items():
            setting, _, span = name.rpartition("/")
            record, expected = trained.get(name, (None, digest))
            if setting not in settings or not SPAN.fullmatch(span):
                yield Finding(scene.name(path), f"digests: {name} is none of the data sets of {path.stem}")
            elif digest != expected and record is not None:
                told = f"digests.{name}: {digest[:12]}, but {scene.name(record)} learned from {expected[:12]}"
                yield Finding(scene.name(path), told)
            unused += record is None
    if unused:
        told = f"{unused} digests on file are of data that no record here learned from; a training is held to them"
        scene.notes.append(Finding("", told))


def _digests(path: Path, experiment: str, scale: str) -> dict[str, str]:
    text = read_text(path, follow=False)
    content: Any = parse_json(text, str(path))
    digests = content.get("digests") if isinstance(content, dict) else None
    if not isinstance(digests, dict) or not all(isinstance(d, str) and DIGEST.fullmatch(d) for d in digests.values()):
        raise DocumentError(f"{path}: holds no digests")
    wanted = {"experiment": experiment, "scale": scale, "digests": digests}
    if content != wanted:
        raise DocumentError(f"{path}: says other than that it is of {experiment} at scale {scale}")
    if text != json.dumps(wanted, indent=1) + "\n":
        raise DocumentError(f"{path}: its content is sound, but not written as `structgrad data make` writes it")
    return digests


def _trained(scene: Scene, experiment: str) -> dict[str, tuple[Path, str]]:
    """By data set, a record that learned from it, and the digest that it names."""
    trained = {}
    for path, record in scene.sound.items():
        if record["experiment"] == experiment:
            first, count = record["replicas"]["first"], record["replicas"]["count"]
            name = f"{record['setting']}/{first}-{first + count - 1}"
            trained.setdefault(name, (path, record["provenance"]["data_digest"]))
    return trained
