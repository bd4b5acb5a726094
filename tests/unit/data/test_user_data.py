"""Data sets that a user adds: checked, remembered, refused when they change; through the command line, too."""

from __future__ import annotations

import hashlib
import json

import pytest
from click.testing import CliRunner

from structgrad.data import sources, user_data
from structgrad.data.store import CorruptDataError, MissingDataError, cache
from structgrad.data.user_data import UserData
from structgrad.errors import UserError
from structgrad.repro.cli import cli, main
from structgrad.repro.planning import resolve


def check(path):
    """Two files, the first of whose lines are numbers."""
    for number, line in enumerate((path / "numbers.txt").read_text().splitlines(), 1):
        if not line.isdigit():
            raise UserError(f"{path / 'numbers.txt'}, line {number}: expected one number")
    return path / "numbers.txt", path / "words.txt"


NUMBERS = UserData("numbers", "numbers that are private", {"numbers.txt": "a number a line", "words.txt": "any"}, check)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(resolve, "user_data_sets", lambda: {"numbers": NUMBERS})


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "numbers.txt").write_text("1\n22\n")
    (folder / "words.txt").write_text("a b\n")
    return folder


def test_it_is_missing_until_it_is_added_and_the_line_says_how(folder):
    assert user_data.find(NUMBERS) is None
    assert not sources.at_hand(NUMBERS)
    with pytest.raises(
        MissingDataError, match=r"structgrad data add numbers PATH` \(numbers.txt, words.txt\)"
    ) as error:
        sources.obtain(NUMBERS)
    assert str(cache()) not in str(error.value)  # the same on every machine
    added = user_data.add(NUMBERS, folder)
    assert [file.name for file in added.files] == ["numbers.txt", "words.txt"]
    assert user_data.find(NUMBERS) == user_data.fetch(NUMBERS) == added
    assert sources.at_hand(NUMBERS)
    sources.obtain(NUMBERS)


def test_the_digest_is_of_names_and_contents_wherever_they_lie(folder, tmp_path):
    first = user_data.add(NUMBERS, folder)
    pairs = [[name, hashlib.sha256((folder / name).read_bytes()).hexdigest()] for name in ("numbers.txt", "words.txt")]
    assert first.sha256 == hashlib.sha256(json.dumps(pairs).encode()).hexdigest()
    moved = folder.rename(tmp_path / "elsewhere")
    assert user_data.add(NUMBERS, moved).sha256 == first.sha256
    (moved / "words.txt").write_text("c\n")
    assert user_data.add(NUMBERS, moved).sha256 != first.sha256


@pytest.mark.parametrize("damage", ["change", "remove"])
def test_what_changes_afterwards_is_refused_until_it_is_added_again(folder, damage):
    user_data.add(NUMBERS, folder)
    file = folder / "words.txt"
    file.write_text("other\n") if damage == "change" else file.unlink()
    with pytest.raises(CorruptDataError, match=r"words.txt (was changed|is no longer there).*data add numbers"):
        user_data.find(NUMBERS)
    file.write_text("other\n")
    assert user_data.add(NUMBERS, folder) == user_data.find(NUMBERS)


def test_what_fails_its_check_leaves_what_was_added(folder):
    added = user_data.add(NUMBERS, folder)
    other = folder.parent / "other"
    other.mkdir()
    (other / "numbers.txt").write_text("1\ntwo\n")
    with pytest.raises(UserError, match=r"numbers\.txt, line 2: expected one number"):
        user_data.add(NUMBERS, other)
    assert user_data.find(NUMBERS) == added


def test_the_command_adds_lists_and_refuses_in_one_line(folder, capsys):
    def said(*words):
        result = CliRunner().invoke(cli, ["data", "add", *words], catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    assert "numbers: not added; numbers that are private" in said()
    assert "numbers.txt: a number a line" in said()
    assert "2 files added" in said("numbers", str(folder))
    assert json.loads(said("--json")) == {"numbers": {"added": True, "expected": dict(NUMBERS.expected)}}
    assert json.loads(said("numbers", str(folder), "--json"))["sha256"] == user_data.fetch(NUMBERS).sha256
    for words, told in {
        ("numbrs", str(folder)): "did you mean 'numbers'?",
        ("numbers",): "structgrad data add numbers PATH",
        ("numbers", str(folder / "no")): "there is no such file or folder; expected: numbers.txt (a number a line)",
    }.items():
        with pytest.raises(SystemExit) as stop:
            main(["data", "add", *words])
        assert stop.value.code == 2
        (line,) = [
            line for line in capsys.readouterr().err.splitlines() if line.startswith("structgrad:") or told in line
        ]
        assert told in line


def test_what_a_task_declares_in_its_files_is_found(monkeypatch):
    monkeypatch.undo()
    for name, data in resolve.user_data_sets().items():
        assert name == data.name
        assert data.expected
        assert callable(data.check)
    monkeypatch.setattr(resolve, "_files", lambda package: type("files", (), {"USER_DATA": (NUMBERS,)}))
    assert resolve.user_data_sets() == {"numbers": NUMBERS}
    other = iter(range(100))
    monkeypatch.setattr(
        resolve,
        "_files",
        lambda package: type("files", (), {"USER_DATA": (UserData("numbers", f"{next(other)}", {}, check),)}),
    )
    with pytest.raises(ValueError, match="two different data sets are called numbers"):
        resolve.user_data_sets()
