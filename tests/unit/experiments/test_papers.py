"""What is said of the papers: once in their folders, and the same for those who cite."""

import re
from pathlib import Path

import yaml

from structgrad.experiments import PUBLISHED

ROOT = Path(__file__).parents[3]
CITATION = ROOT / "CITATION.cff"
PROTOCOLS = ROOT / "docs" / "protocols"
REFERENCE = re.compile(r"docs/protocols/(\w+)\.md,\s+(\d+\.\d+(?:(?:, | and | to )\d+\.\d+)*)")


def test_the_citation_file_says_what_the_papers_folders_say():
    cited = yaml.safe_load(CITATION.read_text(encoding="utf-8"))["references"]
    assert [
        (
            work["title"],
            tuple(f"{one['given-names']} {one['family-names']}" for one in work["authors"]),
            work["year"],
            work["conference"]["name"],
            work["identifiers"][0]["value"].removeprefix("arXiv:"),
        )
        for work in cited
    ] == [
        (paper.title, paper.authors, paper.year, paper.venue, paper.url.rsplit("/", 1)[1])
        for paper in PUBLISHED.values()
    ]


def test_what_sources_cite_of_the_protocols_is_there():
    sections = {
        protocol.stem: set(re.findall(r"^### (\d+\.\d+) ", protocol.read_text(encoding="utf-8"), re.MULTILINE))
        for protocol in PROTOCOLS.glob("*.md")
    }
    cited = {
        (source.relative_to(ROOT).as_posix(), name, section)
        for folder in ("src", "tests", "benchmarks")
        for source in (ROOT / folder).rglob("*.py")
        for name, numbers in REFERENCE.findall(source.read_text(encoding="utf-8"))
        for section in re.findall(r"\d+\.\d+", numbers)
    }
    assert cited
    assert [one for one in sorted(cited) if one[2] not in sections.get(one[1], ())] == []
