"""README and docs/results.md say what the committed results say, and nothing else; their links and code hold."""

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from structgrad.errors import UserError
from structgrad.repro.report import readme

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs/results.md").read_text(encoding="utf-8")


def first(pattern, text=README):
    match = re.search(pattern, text, re.DOTALL)
    assert match is not None
    return match[1]


def test_the_generated_parts_are_current():
    for path, text in readme.build().items():
        assert path.read_text(encoding="utf-8") == text, "make readme"


def test_the_table_of_verdicts_counts_the_lines_of_the_summary():
    with (ROOT / "results/summary.csv").open(encoding="utf-8", newline="") as file:
        counts = Counter(row["verdict"] for row in csv.DictReader(file))
    heads, total = (
        re.split(r" *\| *", line) for line in re.findall(r"^\|(.*(?:reproduced|all).*)\|$", README, re.MULTILINE)[:2]
    )
    shown = {head.rpartition(" ")[0]: int(number or 0) for head, number in zip(heads[1:], total[1:], strict=True)}
    assert shown["reproduced"] == counts["reproduced"]
    assert sum(shown.values()) == sum(counts.values()) == 417


def test_a_part_that_nobody_makes_is_named():
    with pytest.raises(UserError, match="there is no generated part 'weather'"):
        readme.filled("<!-- generated: weather -->\n<!-- end -->", {"verdicts": ""}, "README.md")


def test_it_is_short():
    assert len(README.splitlines()) < 110


@pytest.mark.parametrize(("text", "folder"), [(README, ROOT), (RESULTS, ROOT / "docs")])
def test_links_and_pictures_exist(text, folder):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    assert targets
    assert [target for target in targets if not (folder / target).exists()] == []


def test_no_number_of_a_result_stands_in_prose():
    """What is measured is generated; a number elsewhere is a name (a table, a setting, a version)."""
    for text in (README, RESULTS):
        prose = re.sub(
            r"<!-- generated.*?<!-- end -->|```.*?```|^\|.*?$|\]\(.*?\)", "", text, flags=re.DOTALL | re.MULTILINE
        )
        assert re.findall(r"\d+(?:\.\d+)? ?%|\d+ of \d+|\b0\.\d+", prose) == []


def test_the_two_commands_come_first():
    assert first(r"```\n(.*?)```").split("\n")[:2] == ["make reproduce", "make test"]


def test_the_library_example_runs():
    exec(first(r"```python\n(.*?)```"), {})
