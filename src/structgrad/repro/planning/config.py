"""Read ``config.yaml`` and the scale files; every mistake becomes one line with the nearest right word."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from jsonschema import validators
from yaml.constructor import ConstructorError

from structgrad.errors import UserError, unknown
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
            overrides[key] = _parse(value, f"--set {key}: {value!r}")
    return overrides


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file."""
    try:
        content = _parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start + 1}); save it as UTF-8") from error
    if not isinstance(content, dict):
        kind = "nothing" if content is None else type(content).__name__
        raise UserError(f"{path}: expected keys and values, found {kind}")
    return content


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice: the first of its values would be lost silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise ConstructorError(None, None, f"{key.value!r} stands there twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _parse(text: str, where: str) -> Any:
    """The value of a YAML text."""
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark and not where.startswith("--set") else ""
        twice = f" ({error.problem})" if isinstance(error, ConstructorError) and error.problem else ""
        raise UserError(f"{where}{line}: not valid YAML{twice}") from error
    except (ValueError, RecursionError) as error:  # a date such as 2020-99-99, a thousand brackets
        raise UserError(f"{where}: not valid YAML ({type(error).__name__}: {str(error)[:80]})") from error


def _schema(name: str) -> dict[str, Any]:
    return read_yaml(project_root() / "workflow" / "schemas" / f"{name}.schema.yaml")


def _is_text(key: str, schema: str) -> bool:
    """Whether the values of a key are text."""
    return "string" in _schema(schema)["properties"].get(key, {}).get("type", ())


def _is_integer(_: object, value: object) -> bool:
    """JSON schema takes 1.0 for an integer; what is counted with must be an int."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: object, value: object) -> bool:
    return _is_integer(_, value) or (isinstance(value, float) and math.isfinite(value))


_Validator: Any = validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)


def defaults(schema: str) -> dict[str, Any]:
    """What keys are that a file leaves out."""
    return {key: part["default"] for key, part in _schema(schema)["properties"].items() if "default" in part}


def check(content: dict[str, Any], schema_name: str, where: str) -> dict[str, Any]:
    """``content`` with the schema's defaults filled in, or a :class:`UserError` for its first fault."""
    for error in sorted(
        _Validator(_schema(schema_name)).iter_errors(content), key=lambda e: [str(p) for p in e.absolute_path]
    ):
        raise _explain(error, where)
    return defaults(schema_name) | content


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
