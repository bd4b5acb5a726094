"""Read ``config.yaml`` and the scale files; every mistake becomes one line with the nearest right word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from structgrad.errors import UserError, unknown
from structgrad.repro.paths import project_root


def load_config(overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """``config.yaml`` with ``overrides`` and the schema's defaults, validated.

    Raises:
        UserError: a wrong key, type or value; the line names it and what would be right.
    """
    path = project_root() / "config.yaml"
    return check(read_yaml(path) | dict(overrides or {}), "config", path.name)


def load_scale(name: str) -> dict[str, Any]:
    """The scale file of that name, validated."""
    folder = project_root() / "workflow" / "scales"
    known = [path.stem for path in folder.glob("*.yaml")]
    if name not in known:
        raise unknown("scale", name, known)
    return check(read_yaml(folder / f"{name}.yaml"), "scale", f"workflow/scales/{name}.yaml")


def parse_overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """``("replicas=3", "arms=[direct]")`` as a mapping; values are YAML."""
    overrides = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"--set takes key=value, not {pair!r}")
        overrides[key] = yaml.safe_load(value)
    return overrides


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise UserError(f"{path}{line}: not valid YAML") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


def check(content: dict[str, Any], schema_name: str, where: str) -> dict[str, Any]:
    """``content`` with the schema's defaults filled in, or a :class:`UserError` for its first fault."""
    schema = read_yaml(project_root() / "workflow" / "schemas" / f"{schema_name}.schema.yaml")
    validator = jsonschema.Draft202012Validator(schema)
    for error in sorted(validator.iter_errors(content), key=lambda e: [str(p) for p in e.absolute_path]):
        raise _explain(error, where)
    defaults = {key: part["default"] for key, part in schema["properties"].items() if "default" in part}
    return defaults | content


def _explain(error: jsonschema.ValidationError, where: str) -> UserError:
    place = ".".join(str(part) for part in error.absolute_path)
    at = f"{where}: {place}" if place else where
    rule: Any = error.schema
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = rule.get("properties", {})
        wrong = next((key for key in error.instance if key not in known), None)
        return UserError(f"{at}: {unknown('key', wrong, known)}")
    if error.validator == "oneOf":
        return UserError(f"{at}: {error.instance!r} is neither 'all' nor a list of names")
    if error.validator == "type":
        wanted = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
        return UserError(f"{at}: {error.instance!r} is not of type {' or '.join(wanted)}")
    return UserError(f"{at}: {error.message}")
