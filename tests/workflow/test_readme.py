"""The README shows what the committed results say, and nothing else."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def first_section(table):
    """The percentages of a committed table, as Markdown rows."""
    text = (ROOT / f"results/paper/tables/{table}.md").read_text(encoding="utf-8")
    title = text.splitlines()[0].removeprefix("# ")
    rows = text.split("## ")[1].strip().splitlines()
    return "\n".join([f"{title}: {rows[0]}", *rows[1:]])


@pytest.mark.parametrize("table", ["indelman_1a", "indelman_1b"])
def test_tables_are_those_of_the_paper_scale(table):
    assert first_section(table) in README, f"paste this into README.md:\n{first_section(table)}"


def test_links_and_pictures_exist():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert "results/paper/figures/indelman_1a.svg" in targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_two_commands_come_first():
    assert re.search(r"```\n(.*?)```", README, re.DOTALL)[1].split("\n")[:2] == ["make reproduce", "make test"]


def test_the_library_example_runs():
    exec(re.search(r"```python\n(.*?)```", README, re.DOTALL)[1], {})
