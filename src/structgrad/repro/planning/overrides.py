"""How what differs from config.yaml reaches the workflow and its jobs: once, as JSON.

JSON gives every value back as it was: no `#`, quotation mark, colon or brace in a path has a meaning, and text that
looks like a number stays text. It travels as one word of a command line, which the shell's quoting leaves as it is.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from shlex import join
from typing import Any

from structgrad.errors import UserError, unknown
from structgrad.repro.documents import parse_json
from structgrad.repro.planning.config import load_config

OPTION = "--set-json"
KEY = "overrides"  # the workflow's own name for all of them together


def differing(config: Mapping[str, Any]) -> dict[str, Any]:
    """Where a plan's configuration differs from the file, which every job reads anyway."""
    written = load_config()
    return {key: value for key, value in sorted(config.items()) if value != written[key]}


def words(overrides: Mapping[str, Any]) -> list[str]:
    """The options that pass them to a ``structgrad`` command; none where nothing differs."""
    return [OPTION, json.dumps(overrides)] if overrides else []


def shell(overrides: Mapping[str, Any]) -> str:
    """:func:`words`, quoted for a shell."""
    return join(words(overrides))


def parse(text: str) -> dict[str, Any]:
    """The overrides in a JSON object.

    Raises:
        UserError: the text is not a JSON object.
    """
    content = parse_json(text, f"{OPTION}: {text!r}")
    if not isinstance(content, dict):
        raise UserError(f"{OPTION} takes a JSON object, not {text!r}")
    return content


def for_snakemake(overrides: Mapping[str, Any]) -> list[str]:
    """The options that pass them to Snakemake.

    It reads a value as YAML, and writes it out again, hardly quoted, for a cluster's jobs; so the JSON goes in base64
    for URLs, which survives all of that.
    """
    coded = urlsafe_b64encode(json.dumps(overrides).encode()).decode().rstrip("=")
    return ["--config", f"{KEY}={coded}"] if overrides else []


def from_snakemake(config: Mapping[str, Any]) -> dict[str, Any]:
    """What Snakemake was told: config.yaml, what a user gave to ``--config``, and :func:`for_snakemake`'s.

    Raises:
        UserError: the user set the key that is reserved for them.
    """
    plain = {key: None if value == "null" else value for key, value in config.items() if key != KEY}
    coded = config.get(KEY)
    if coded is None:
        return plain
    try:
        text = urlsafe_b64decode(f"{coded}{'=' * (-len(str(coded)) % 4)}").decode()
    except ValueError as error:
        raise unknown("key", KEY, plain) from error
    return plain | parse(text)
