"""What JSON and YAML of strangers may not hold, and files that are none."""

import os
from pathlib import Path

import pytest

from structgrad.repro import documents
from structgrad.repro.documents import DEEPEST, DocumentError, parse_json, parse_yaml, read_json, read_text, read_yaml

SURROGATE = r'"\ud83d"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "x: not JSON"),
        ("", "x: not JSON"),
        ('{"a": 1, "b": 2, "a": 1}', "x: not JSON .*'a' stands there twice"),
        ('{"b": [{"a": 1, "a": 2}]}', "'a' stands there twice"),
        ("[NaN]", "x: 0: nan is not a finite number"),
        ('{"a": -Infinity}', "x: a: -inf is not a finite number"),
        ('{"a": [0, 1e400]}', r"x: a\.1: inf is not a finite number"),
        ("[-1E+999]", "x: 0: -inf is not a finite number"),
        (f'{{"a": {SURROGATE}}}', "x: a: half of a surrogate pair"),
        (f"{{{SURROGATE}: 1}}", "x: half of a surrogate pair"),
        (f'[{SURROGATE[:-1]}\\ud83d"]', "half of a surrogate pair"),
        ("[" * 100_000 + "]" * 100_000, "x: not JSON .too deep."),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), f"more than {DEEPEST} levels deep"),
        ('{"a": ' * (DEEPEST + 1) + "1" + "}" * (DEEPEST + 1), f"more than {DEEPEST} levels deep"),
        ('﻿{"a": 1}', "x: not JSON"),
        ("{'a': 1}", "x: not JSON"),
        ('{"a": 1} 2', "x: not JSON"),
    ],
)
def test_what_is_no_json(text, message):
    with pytest.raises(DocumentError, match=message) as raised:
        parse_json(text, "x")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'{"a": "\ud83d\ude00", "b": "\\ud83d"}', {"a": "😀", "b": r"\ud83d"}),
        ("[1e308, 1e-400, 123e100]", [1e308, 0.0, 123e100]),
        ("[" * DEEPEST + "]" * DEEPEST, eval("[" * DEEPEST + "]" * DEEPEST)),
        ("null", None),
    ],
)
def test_what_is(text, value):
    assert parse_json(text, "x") == value


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a: [1", "!!python/name:os.system x", "[" * 5000, "a: 2020-99-99"])
def test_what_is_no_yaml(text):
    with pytest.raises(DocumentError, match=r"^x.*: not valid YAML") as raised:
        parse_yaml(text, "x")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["- a\n", "", "3"])
def test_a_yaml_file_holds_a_mapping(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(DocumentError, match=r"a\.yaml: expected keys and values, found (list|nothing|int)"):
        read_yaml(tmp_path / "a.yaml")


def put_folder(path: Path) -> None:
    path.mkdir()


def put_link(path: Path) -> None:
    target = path.with_name("target")
    target.write_text("{}")
    path.symlink_to(target)


def put_dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def put_loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("put", "message"),
    [
        (put_folder, "not a regular file"),
        (os.mkfifo, "not a regular file"),
        (put_dangling, "a symbolic link, which is not followed"),
        (put_loop, "a symbolic link, which is not followed"),
        (put_link, "a symbolic link, which is not followed"),
        (lambda path: None, "cannot be read: No such file or directory"),
        (lambda path: path.write_bytes(b"{\xff}"), "not UTF-8 text .byte 2."),
        (lambda path: path.write_text("[" + "1," * 100 + "1]"), "larger than 0 MiB"),
    ],
)
def test_what_is_no_file(tmp_path, monkeypatch, put, message):
    monkeypatch.setattr(documents, "LARGEST", 100)
    put(tmp_path / "a.json")
    with pytest.raises(DocumentError, match=rf"a\.json: {message}"):
        read_json(tmp_path / "a.json", follow=False)


def test_a_users_own_link_is_followed(tmp_path):
    put_link(tmp_path / "a.json")
    assert read_json(tmp_path / "a.json") == {}
    with pytest.raises(DocumentError, match="/dev/null: not a regular file"):
        read_text(Path("/dev/null"))


def test_handles_are_closed(tmp_path):
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("only Linux tells which handles are open")
    before = len(list(handles.iterdir()))
    for _ in range(5):
        with pytest.raises(DocumentError):
            read_json(tmp_path)
    assert len(list(handles.iterdir())) == before
