"""Attestations: what a machine found that trained records anew, as an in-toto statement of the records' files.

The statement is in-toto's, version 1 (https://github.com/in-toto/attestation/tree/main/spec/v1): its subjects are the
records' files with their sha256, its predicate is :data:`PREDICATE`, which ``attestation.schema.json`` describes. An
attestation lies in ``results/<scale>/attestations`` under a name that holds its own digest.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from structgrad.errors import UserError
from structgrad.files import write_text
from structgrad.repro.documents import DocumentError, parse_json, read_text, validator
from structgrad.repro.evidence.records import NUMBERS
from structgrad.repro.evidence.signatures import SIGSTORE
from structgrad.repro.planning.paths import results

FOLDER = "attestations"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:structgrad:replay:1"  # a name and no address; docs/trust.md says what it holds
VERDICTS = ("identical", "equal", "undecided", "conflict")


class AttestationError(UserError):
    """A file that is no attestation."""


@dataclass(frozen=True)
class Attestation:
    """A statement, and where it was read."""

    path: Path
    content: Mapping[str, Any]

    @property
    def predicate(self) -> Mapping[str, Any]:
        """What was found."""
        return self.content["predicate"]

    @property
    def outcomes(self) -> Sequence[Mapping[str, Any]]:
        """One for each record."""
        return self.predicate["outcomes"]

    @property
    def subjects(self) -> list[tuple[str, str]]:
        """The records' files below ``results/<scale>``, with their sha256, in the order of the outcomes."""
        return [(one["name"], one["digest"].get("sha256", "")) for one in self.content["subject"]]

    @property
    def processor(self) -> str:
        """The machine's, which says so where libraries were told to take it for another."""
        told = self.predicate["by"]["told_to_be"]
        own = processor_of(self.predicate["by"]["hardware"])
        return f"{own}, emulating another ({', '.join(f'{k}={v}' for k, v in sorted(told.items()))})" if told else own


def processor_of(hardware: Mapping[str, Any]) -> str:
    """What a record or an attestation calls the kind of processor."""
    return hardware.get("processor") or hardware.get("machine") or "unknown"


def numbers_digest(record: Mapping[str, Any]) -> str:
    """sha256 of what the training of a record gave: results and curves, whatever it was made of."""
    return hashlib.sha256(json.dumps(_plain([record[key] for key in NUMBERS]), sort_keys=True).encode()).hexdigest()


def statement(predicate: Mapping[str, Any], subjects: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The in-toto statement that says ``predicate`` of files, each a name and a sha256."""
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in subjects],
        "predicateType": PREDICATE,
        "predicate": predicate,
    }


def text_of(content: Mapping[str, Any]) -> str:
    """A statement as it is written, of which there is one text."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def name_of(content: Mapping[str, Any]) -> str:
    """Its file: the processor and the digest of its text."""
    kind = re.sub(r"[^a-z0-9]+", "-", processor_of(content["predicate"]["by"]["hardware"]).lower()).strip("-")
    return f"{kind}.{hashlib.sha256(text_of(content).encode()).hexdigest()[:12]}.json"


def write(content: Mapping[str, Any], folder: Path) -> Path:
    """Write a statement into a folder and return its path.

    Raises:
        AttestationError: it is none.
    """
    path = folder / name_of(content)
    check(content, str(path))
    write_text(path, text_of(content))
    return path


def load(path: Path) -> Attestation:
    """Read and check one attestation.

    Raises:
        AttestationError: it is none, or is not written as :func:`write` writes.
    """
    try:
        text = read_text(path, follow=False)
        content = check(parse_json(text, str(path)), str(path))
    except DocumentError as error:
        raise AttestationError(str(error)) from error
    if text != text_of(content):
        raise AttestationError(f"{path}: its content is sound, but not written as an attestation is")
    return Attestation(path, content)


def check(content: Any, where: str) -> dict[str, Any]:
    """``content`` itself if it is an in-toto statement of this predicate.

    Raises:
        AttestationError: naming ``where`` and what is wrong.
    """
    from google.protobuf import json_format
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement

    if not isinstance(content, dict) or content.get("_type") != STATEMENT:
        raise AttestationError(f"{where}: not an in-toto statement (its _type is not {STATEMENT})")
    try:
        shape: Any = statement_pb2
        Statement.copy_from_pb(json_format.ParseDict(content, shape.Statement())).validate()
    except (json_format.ParseError, ValueError) as error:
        raise AttestationError(f"{where}: not an in-toto statement ({error})") from error
    if content["predicateType"] != PREDICATE:
        raise AttestationError(f"{where}: a statement of {content['predicateType']}, not of {PREDICATE}")
    for error in _validator().iter_errors(content["predicate"]):
        field = ".".join(str(part) for part in ("predicate", *error.absolute_path))
        raise AttestationError(f"{where}: {field}: {error.message[:200]}")
    if len(content["subject"]) != len(content["predicate"]["outcomes"]):
        raise AttestationError(f"{where}: not one subject for each outcome")
    return content


def is_statement(content: Any) -> bool:
    """Whether a JSON value says that it is an in-toto statement."""
    return isinstance(content, Mapping) and content.get("_type") == STATEMENT


def folder_of(scale: str) -> Path:
    """Where a scale's attestations lie."""
    return results(scale) / FOLDER


def paths_of(scale: str) -> Iterator[Path]:
    """The files of a scale's attestations, without signatures."""
    yield from sorted(path for path in folder_of(scale).glob("*.json") if not path.name.endswith(SIGSTORE))


@cache
def _validator() -> Any:
    text = (files("structgrad.repro.evidence") / "attestation.schema.json").read_text(encoding="utf-8")
    return validator(json.loads(text))


def _plain(value: Any) -> Any:
    """Numbers as floats, zeros without a sign: what is equal has one text."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value + 0.0 if isinstance(value, int | float) and not isinstance(value, bool) else value
