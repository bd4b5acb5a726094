"""The report and the research object: whole, self-contained, and the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from structgrad.experiments import REGISTRY
from structgrad.files import sha256
from structgrad.repro.commands.report import command
from structgrad.repro.figures import training_curves
from structgrad.repro.figures.drawing import picture
from structgrad.repro.judging.cells import collect, collect_all
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.report import manifest, rocrate
from structgrad.repro.report.page import build_report, write_report
from structgrad.repro.report.pictures import inline, share_styles
from structgrad.repro.report.rows import duration
from structgrad.repro.report.sections import caption

VOID = {"meta", "link", "br", "hr", "img", "input", "col"}


class Page(HTMLParser):
    """Checks that elements are closed, and collects ids, links and what a browser would fetch."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.fetched = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in named:
            self.ids.append(named["id"])
        if tag == "a":
            self.links.append(named["href"])
        self.fetched += [value for key, value in attrs if key in ("src", "srcset", "data", "poster")]
        self.fetched += [named["href"]] if tag == "link" else []
        assert tag != "script" or "src" not in named

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def text(finished):
    return (results(finished.scale) / "report.html").read_text(encoding="utf-8")


def test_the_page_is_whole_and_asks_for_nothing(finished, text):
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert page.fetched == []
    assert "@import" not in text
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    here = results(finished.scale)
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids
        elif not link.startswith("../../docs/"):
            assert (here / link).is_file(), link


def test_the_page_tells(finished, text):
    assert text.count("<svg") == 2  # the figure and the curves
    assert "66.7" in text
    assert "turns the scores into an\norder" in text  # the caption
    assert "<em>d</em>" in text
    assert "drawn. Lines and bars: ours" in text
    assert "2 <small>of 2</small></b><span>shards" in text
    assert "2 min 00 s" in text
    for claim in json.loads((results(finished.scale) / "claims.json").read_text(encoding="utf-8"))["claims"]:
        assert f'id="{claim["id"]}"' in text
    assert "structgrad explain &#39;" not in text
    assert "make reproduce SCALE=paper" in text


def test_the_same_bytes_every_time(finished):
    here = results(finished.scale)
    names = ("report.html", rocrate.NAME, manifest.NAME)
    before = [(here / name).read_bytes() for name in names]
    assert [path.name for path in write_report(finished, collect_all(finished))] == list(names)
    assert [(here / name).read_bytes() for name in names] == before


def test_the_manifest_is_written_last_and_holds(finished, options):
    here = results(finished.scale)
    (here / "tables" / "indelman_1a.md").write_text("another", encoding="utf-8")
    told = CliRunner().invoke(command, [*options, "--json"])
    assert told.exit_code == 0
    assert json.loads(told.output)[-1].endswith("MANIFEST.sha256")
    listed = manifest.read(finished.scale)
    assert listed["tables/indelman_1a.md"] == hashlib.sha256(b"another").hexdigest()
    assert listed["report.html"] == sha256(here / "report.html")
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", manifest.NAME], cwd=here, check=True)


def test_a_page_without_any_record(project):
    plan = load_plan("smoke")
    page = build_report(plan, collect_all(plan)).decode()
    assert Page(page).open == []
    assert "No record has a curve yet." in page
    assert 'id="apart"' not in page
    assert "<figure" not in page  # what is printed alone is no figure worth drawing
    assert "not run</button>" in page


def test_curves_by_arm_and_setting(finished):
    experiment = finished.experiments["indelman_1a"].experiment
    evidence = [piece for cell in collect(finished, "indelman_1a") for piece in cell.evidence]
    shown = training_curves.panels(experiment, evidence)
    losses = {piece.record["arm"]: piece.record["history"]["loss"] for piece in evidence}
    assert shown == {(arm, "loss"): {"d=5": ([1.0, 57.0], losses[arm])} for arm in ("direct", "no_solver")}
    assert training_curves.draw(experiment, []) is None


def test_an_svg_becomes_part_of_a_page():
    body = b'<text id="a" style="font-size: 9px; font-family: \'DejaVu Sans\'">grid</text>\n'
    body += b'<use href="#a" clip-path="url(#b)" style="stroke: #0072b2; fill: #123456"/></svg>'
    svg = b'<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg>' + body
    assert inline(svg, "p-", 'a "b"') == (
        '<svg role="img" aria-label="a &quot;b&quot;"><text id="p-a" style="font-size: 9px">grid</text>\n'
        '<use href="#p-a" clip-path="url(#p-b)" style="stroke: var(--c0); fill: #123456"/></svg>'
    )


def test_styles_that_a_page_repeats_become_classes():
    pictures = '<svg role="img" aria-label="a"><path style="fill: red"/><path style="stroke: blue"/></svg>'
    pictures += '<svg role="img" aria-label="b"><path style="fill: red"/><i style="stroke: blue">'
    page = f'<style>\np {{}}\n</style><div class="picture">{pictures}</svg></div><i style="fill: red">'
    shared = share_styles(page)
    assert "<style>\np {}\n.picture .k0{fill: red}\n.picture .k1{stroke: blue}\n</style>" in shared
    assert shared.count('<path class="k0"/>') == 2
    assert shared.count('<path class="k1"/>') == shared.count('<i class="k1">') == 1
    assert shared.endswith('<i style="fill: red">')  # in no picture
    assert share_styles("<style></style>") == "<style></style>"


def test_a_caption_that_is_not_there():
    assert caption(REGISTRY["indelman_1a"], "indelman_9") == ""
    assert caption(REGISTRY["indelman_1a"], "indelman_1a").startswith("<")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.26, "0.3 s"), (59.9, "59.9 s"), (60, "1 min 00 s"), (3599.6, "1 h 00 min"), (7325, "2 h 02 min")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("count", [1, 2, 50, 51, 100, 2000])
def test_a_long_curve_is_shown_by_fewer_points_from_its_first_to_its_last(count):
    places = training_curves._spread(count)
    assert places == sorted(set(places))
    assert (places[0], places[-1]) == (0, count - 1)
    assert len(places) == count if count <= training_curves.POINTS else len(places) <= training_curves.POINTS


def test_coordinates_have_four_decimals_and_labels_all_of_theirs():
    with picture(3, 3) as (figure, drawn):
        axes = figure.add_subplot()
        axes.plot([0.0, 1 / 3, 1.0], [0.0, 1 / 7, 1.0])
        axes.set_title("0.12345")
    text = drawn.getvalue().decode()
    assert ">0.12345<" in text
    assert re.search(r'="[^"]*\.\d{5}', text) is None


def test_curves_of_a_search_are_those_of_the_selected_trial(searched):
    experiment = searched.experiments["fake"].experiment
    evidence = [piece for cell in collect(searched, "fake") for piece in cell.evidence]
    assert training_curves.panels(experiment, evidence) == {
        ("tree", "elbo"): {"T=10": ([200.0, 400.0], [-2100.0, -1050.0])},
        ("indep", "elbo"): {"T=10": ([200.0, 400.0], [-3100.0, -1550.0])},
    }
    drawn = training_curves.draw(experiment, evidence)
    assert drawn is not None
    words = re.findall(r"<text[^>]*>(.*?)</text>", drawn.decode())
    assert words.count("step") == 2
    assert "epoch" not in words


def test_whose_data_were_read(text):
    assert "Data of others, MNIST and CIFAR-10 (cite Krizhevsky 2009): none stated by their authors" in text
