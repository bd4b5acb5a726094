"""JSON and YAML that a person, a program or a stranger may bring: what is strange in it is one line, not a traceback.

A key given twice, whose first value would be lost; a number that no float holds; half of a surrogate pair; brackets
without end; a folder, a pipe, a device or (of what came with results) a link in a file's place; a file without end.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Hashable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, validators
from yaml.constructor import ConstructorError

from structgrad.errors import UserError

LARGEST = 64 * 2**20  # bytes of a file that is read whole
DEEPEST = 60  # lists and mappings in one another
STRANGE = re.compile(r"\\u[dD][89a-fA-F]|[eE]\+?\d{3}|NaN|Infinity")  # perhaps no text, or no number


class DocumentError(UserError):
    """A text that is not what it should be."""


def read_text(path: Path, follow: bool = True) -> str:
    """The text of a regular file, in UTF-8; ``follow`` says whether it may lie behind a symbolic link.

    Raises:
        DocumentError: it cannot be read, is no regular file, is too large or not UTF-8.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)  # a pipe without a writer would wait
    try:
        handle = os.open(path, flags)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise DocumentError(f"{path}: not a regular file")
            with os.fdopen(handle, "rb", closefd=False) as stream:
                content = stream.read(LARGEST + 1)
        finally:
            os.close(handle)
    except OSError as error:
        if not follow and path.is_symlink():
            raise DocumentError(f"{path}: a symbolic link, which is not followed") from error
        raise DocumentError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > LARGEST:
        raise DocumentError(f"{path}: larger than {LARGEST // 2**20} MiB")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path}: not UTF-8 text (byte {error.start + 1}); save it as UTF-8") from error


def read_json(path: Path, follow: bool = True) -> Any:
    """The value in a JSON file; :func:`read_text`'s and :func:`parse_json`'s errors."""
    return parse_json(read_text(path, follow), str(path))


def parse_json(text: str, where: str) -> Any:
    """The value of a JSON text.

    Raises:
        DocumentError: it is not JSON, or holds a key twice, a number that is not finite or beyond a float, text that
            is none, or more than :data:`DEEPEST` levels.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        told = "too deep" if isinstance(error, RecursionError) else str(error)
        raise DocumentError(f"{where}: not JSON ({told})") from error
    _check_depth(value, where)
    if STRANGE.search(text):
        _check_leaves(value, where)
    return value


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; :func:`read_text`'s and :func:`parse_yaml`'s errors."""
    content = parse_yaml(read_text(path), str(path))
    if not isinstance(content, dict):
        kind = "nothing" if content is None else type(content).__name__
        raise DocumentError(f"{path}: expected keys and values, found {kind}")
    return content


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML text, without tags that make objects.

    Raises:
        DocumentError: it is not YAML, or holds a key twice or more than :data:`DEEPEST` levels.
    """
    try:
        if _too_deep(text):
            raise DocumentError(f"{where}: not valid YAML (too deep)")
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark and not where.startswith("--") else ""
        twice = f" ({error.problem})" if isinstance(error, ConstructorError) and error.problem else ""
        raise DocumentError(f"{where}{line}: not valid YAML{twice}") from error
    except ValueError as error:  # a date such as 2020-99-99
        raise DocumentError(f"{where}: not valid YAML ({type(error).__name__}: {str(error)[:80]})") from error


# libyaml's is several times as fast, and every command and job reads a dozen files. Not every build of PyYAML has it.
_Safe: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _too_deep(text: str) -> bool:
    """Whether lists and mappings nest too deep, told without going down: libyaml's loader would crash."""
    depth = 0
    for event in yaml.parse(text, Loader=_Safe):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            return True
    return False


class _Loader(_Safe):
    """YAML that refuses a key given twice: the first of its values would be lost silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise ConstructorError(None, None, f"{key.value!r} stands there twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def validator(schema: Mapping[str, Any]) -> Any:
    """A validator of JSON schema 2020-12 in which 1.0 is no integer and an infinite number none at all."""
    return _Strict(schema)


def _is_integer(_: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: object, value: object) -> bool:
    return _is_integer(_, value) or (isinstance(value, float) and isfinite(value))


_Strict: Any = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_integer, "number": _is_number}),
)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} stands there twice")
    return content


def _check_depth(value: Any, where: str, depth: int = 0) -> None:
    if isinstance(value, dict | list):
        if depth == DEEPEST:
            raise DocumentError(f"{where}: more than {DEEPEST} levels deep")
        for part in value.values() if isinstance(value, dict) else value:
            _check_depth(part, where, depth + 1)


def _check_leaves(value: Any, where: str, path: tuple[str, ...] = ()) -> None:
    at = f"{where}: {'.'.join(path)}" if path else where
    if isinstance(value, float) and not isfinite(value):
        raise DocumentError(f"{at}: {value} is not a finite number")
    for text in value if isinstance(value, dict) else [value] if isinstance(value, str) else ():
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise DocumentError(f"{at}: half of a surrogate pair, which is no text")
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            _check_leaves(part, where, (*path, str(key)))
