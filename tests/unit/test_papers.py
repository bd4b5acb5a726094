"""What is said of the papers: once in their folders, and the same for those who cite."""

from pathlib import Path

import yaml

from structgrad.experiments import PAPERS

CITATION = Path(__file__).parents[2] / "CITATION.cff"


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
        (paper.title, paper.authors, paper.year, paper.venue, paper.url.rsplit("/", 1)[1]) for paper in PAPERS.values()
    ]
