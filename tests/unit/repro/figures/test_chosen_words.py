"""The picture of chosen words: from what records show of the selected trials, and from nothing else."""

from __future__ import annotations

import csv
import re
from types import SimpleNamespace
from typing import Any

import pytest

from structgrad.experiments import REGISTRY, ChosenWords
from structgrad.repro.figures import chosen_words

TABLE = REGISTRY["paulus_3"]
(FIGURE,) = (figure for figure in TABLE.figures if isinstance(figure, ChosenWords))
FIRST, SECOND = FIGURE.arms
WORDS = ["a", "fine", "aroma", "and", "<b>"]


def result(validation, chosen, words=WORDS, inside=(1, 2)):
    shown = [{"words": list(words), "inside": list(inside), "chosen": list(chosen)}]
    return {"final": {"validation": validation}, "examples": shown}


def cell(arm: str, *results: Any) -> Any:
    piece = SimpleNamespace(record={"results": list(results)})
    return SimpleNamespace(setting=FIGURE.settings[0], arm=TABLE.arm(arm), evidence=[piece])


@pytest.fixture
def cells():
    """Of the first arm's two trials the second is selected."""
    return [cell(FIRST, result(-2.0, [0, 4]), result(-1.0, [0, 2])), cell(SECOND, result(-1.0, [1, 2]))]


def rows(content):
    return list(csv.DictReader(content.decode().splitlines()))


def test_the_data_are_the_selected_trials_words(cells):
    found = rows(chosen_words.data(FIGURE, TABLE, cells))
    assert [row["word"] for row in found] == WORDS * 2
    for arm, expected in ((FIRST, ["0", "2"]), (SECOND, ["1", "2"])):
        own = [row for row in found if row["arm"] == arm]
        assert [row["place"] for row in own if row["chosen"] == "1"] == expected
        assert [row["place"] for row in own if row["inside"] == "1"] == ["1", "2"]


def test_other_words_or_no_records_are_left_out(cells):
    other = cell(SECOND, result(-1.0, [1], words=["another", "review"], inside=[0]))
    assert rows(chosen_words.data(FIGURE, TABLE, [cells[0], other])) == []
    some: Any
    for some in ([], cells[:1], [cells[0], cell(SECOND, {"final": {"validation": 0.0}})]):
        content = chosen_words.data(FIGURE, TABLE, some)
        assert not chosen_words.has_ours(content)
        assert b"no record yet" in chosen_words.draw(content, FIGURE, TABLE, "title")


def test_every_word_is_written_once_and_every_choice_is_a_line(cells):
    content = chosen_words.data(FIGURE, TABLE, cells)
    assert chosen_words.has_ours(content)
    svg = chosen_words.draw(content, FIGURE, TABLE, "the title").decode()
    for word in ("fine", "aroma", "&lt;b&gt;", "the title"):
        assert len(re.findall(f">{word}<", svg)) == 1
    lines = re.findall(r'<path d="[^"]*" clip-path[^>]*stroke-width: 2', svg)
    assert len(lines) == 4
    assert svg.encode() == chosen_words.draw(content, FIGURE, TABLE, "the title")
    assert FIRST not in chosen_words.reading(FIGURE, TABLE)
    assert "E.F. Ent. Top k" in chosen_words.reading(FIGURE, TABLE)


def test_long_reviews_are_broken_into_lines_and_no_word_is_lost():
    words = [f"word{place}" for place in range(90)]
    lines = chosen_words._lines([{"place": str(place), "word": word} for place, word in enumerate(words)])
    assert [row["word"] for line in lines for _, row in line] == words
    for line in lines:
        ends = [start + len(row["word"]) for start, row in line]
        assert ends[-1] <= chosen_words.LETTERS
        assert all(start > end for (start, _), end in zip(line[1:], ends, strict=False))
