"""Read ``config.yaml`` and the scale files; every mistake becomes one line with the nearest right word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jsonschema

from structgrad.errors import UserError, unknown
from structgrad.repro.documents import parse_yaml, read_yaml, validator
from structgrad.repro.planning.paths import project_root


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


def parse_overrides(pairs: Iterable[str], schema: str = "config") -> dict[str, Any]:
    """``("replicas=3", "arms=[direct]", "data_folder=/a b")`` as a mapping: values are YAML, or text as it stands.

    Where the key takes text by its schema, only what begins with a quotation mark is YAML: in a path, `#` and `: ` are
    no syntax.

    Raises:
        UserError: not key=value, or a value that is not YAML.
    """
    overrides = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"--set takes key=value, not {pair!r}")
        if _is_text(key, schema) and not value.startswith(("'", '"')):
            overrides[key] = value if value not in ("", "null") else None
        else:
            overrides[key] = parse_yaml(value, f"--set {key}: {value!r}")
    return overrides


def _schema(name: str) -> dict[str, Any]:
    return read_yaml(project_root() / "workflow" / "schemas" / f"{name}.schema.yaml")


def _is_text(key: str, schema: str) -> bool:
    """Whether the values of a key are text."""
    return "string" in _schema(schema)["properties"].get(key, {}).get("type", ())


def defaults(schema: str) -> dict[str, Any]:
    """What keys are that a file leaves out."""
    return _defaults(_schema(schema))


def check(content: dict[str, Any], schema_name: str, where: str) -> dict[str, Any]:
    """``content`` with the schema's defaults filled in, or a :class:`UserError` for its first fault."""
    schema = _schema(schema_name)
    for error in sorted(validator(schema).iter_errors(content), key=lambda e: [str(p) for p in e.absolute_path]):
        raise _explain(error, where)
    return _defaults(schema) | content


def _defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {key: part["default"] for key, part in schema["properties"].items() if "default" in part}


def _explain(error: jsonschema.ValidationError, where: str) -> UserError:
    place = ".".join(str(part) for part in error.absolute_path)
    at = f"{where}: {place}" if place else where
    rule: Any = error.schema
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = rule.get("properties", {})
        wrong = next((key for key in error.instance if key not in known), None)
        return UserError(f"{at}: {unknown('key', wrong, known)}")
    if error.validator in ("oneOf", "uniqueItems"):
        return UserError(f"{at}: {_fault_of_selection(error.instance)}")
    if error.validator == "pattern":
        return UserError(f"{at}: {error.instance!r} does not match; allowed is {' or '.join(rule['examples'])}")
    if error.validator == "type":
        wanted = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
        return UserError(f"{at}: {error.instance!r} is not of type {' or '.join(wanted)}")
    return UserError(f"{at}: {error.message}")


def _fault_of_selection(value: object) -> str:
    """What is wrong with a value that should be ``all`` or a list of names."""
    if not isinstance(value, list):
        return f"{value!r} is neither 'all' nor a list of names"
    if not value:
        return "the list is empty; name at least one, or say all"
    strange = [name for name in value if not isinstance(name, str)]
    if strange:
        return f"{strange[0]!r} is not a name"
    return f"{next(name for name in value if value.count(name) > 1)!r} is named twice"
