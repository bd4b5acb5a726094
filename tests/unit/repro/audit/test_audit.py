"""The auditor, tampered with: each change must be found and named. And that it says nothing where nothing is."""

from __future__ import annotations

import json
import os
import re
from math import inf

import pytest
from click.testing import CliRunner

from structgrad.errors import UserError
from structgrad.repro import audit
from structgrad.repro.audit.records import _possible
from structgrad.repro.cli import main
from structgrad.repro.commands.audit import command
from structgrad.repro.evidence.records import save
from structgrad.repro.judging.comparison import first_difference, same_drawing
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.report import manifest
from structgrad.training.seeds import seed_for

CELL = "indelman/1a/d=5/Direct/percent_sequences_perfect"
RECORD = "records/indelman_1a/d=5/direct.0-2.json"


@pytest.fixture
def folder(finished):
    return results(finished.scale)


def tamper(path, old, new, count=1):
    """Replace text in a file and put its times back, as one who hopes that nobody looks would."""
    before = path.stat()
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {path.name}"
    path.write_text(text.replace(old, new, count), encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def reseal(path, change):
    """Change a record and give it the digest of its new content."""
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    save(record, path)


def found(check, plan):
    return [str(finding) for finding in check(audit.Scene(plan))]


def says(findings, *words):
    return any(all(word in finding for word in words) for finding in findings)


def test_an_honest_folder_passes(finished, options):
    checks, notes = audit.audit(finished)
    assert [(what, findings) for what, findings in checks if findings] == []
    assert any("other sources" in str(note) for note in notes)  # the made-up records name made-up sources
    (levels,) = [str(note) for note in notes if "level" in str(note)]
    assert levels == "level 1 (the same bits on any x86-64 machine with AVX2): 2 records"
    told = CliRunner().invoke(command, [*options, "--json"])
    assert told.exit_code == 0
    assert json.loads(told.output)["ok"] is True


def test_a_digit_of_a_record(finished, folder, options):
    tamper(folder / RECORD, '"successes": 1', '"successes": 0')
    assert says(found(audit.records_are_sealed, finished), RECORD, "digest")
    assert says(found(audit.manifest_holds, finished), RECORD, "changed")
    assert says(found(audit.tables_rebuild, finished), RECORD)
    told = CliRunner().invoke(command, options)
    assert told.exit_code == 1
    assert f"results/paper/{RECORD}" in told.output


def test_a_digit_of_a_record_that_was_sealed_again(finished, folder):
    reseal(folder / RECORD, lambda r: r["results"][1]["metrics"]["percent_sequences_perfect"].update(successes=1))
    manifest.write(finished.scale)  # and the manifest, too
    assert found(audit.records_are_sealed, finished) == []
    assert found(audit.manifest_holds, finished) == []
    # 2 of 3 became 3 of 3
    assert says(found(audit.tables_rebuild, finished), "tables/indelman_1a.csv", CELL, "column value", "66.667")
    assert says(found(audit.figures_rebuild, finished), "figures/indelman_1a.csv")
    assert says(found(audit.report_rebuilds, finished), "report.html")


def test_a_digit_of_a_table(finished, folder):
    tamper(folder / "tables/indelman_1a.csv", "66.667", "96.667")
    wanted = "tables/indelman_1a.csv", f"line 2, cell {CELL}, column value: says '96.667', rebuilding gives '66.667'"
    assert says(found(audit.tables_rebuild, finished), *wanted)
    assert says(found(audit.manifest_holds, finished), "tables/indelman_1a.csv", "changed")


@pytest.mark.parametrize("suffix", ["md", "html", "tex"])
def test_a_digit_of_a_table_for_people(finished, folder, suffix):
    path = folder / f"tables/indelman_1a.{suffix}"
    line = path.read_text(encoding="utf-8").split("66.7")[0].count("\n") + 1
    tamper(path, "66.7", "96.7")
    manifest.write(finished.scale)
    assert says(found(audit.tables_rebuild, finished), f"indelman_1a.{suffix}", f"line {line},", "96.7")


def test_a_digit_of_a_figure(finished, folder):
    tamper(folder / "figures/indelman_1a.csv", "66.667", "96.667")
    tamper(folder / "figures/indelman_1a.svg", ">60<", ">61<")
    findings = found(audit.figures_rebuild, finished)
    assert says(findings, "figures/indelman_1a.csv", "column value: says '96.667'")
    assert says(findings, "figures/indelman_1a.svg", "line ")


def test_the_last_bits_of_a_drawing_are_a_note(finished, folder):
    path = folder / "figures/indelman_1a.svg"
    number = re.search(r"L (\d+\.\d{4}) ", path.read_text(encoding="utf-8"))
    assert number is not None
    tamper(path, number[1], f"{float(number[1]) + 0.001:.4f}")
    scene = audit.Scene(finished)
    assert list(audit.figures_rebuild(scene)) == []
    assert says(map(str, scene.notes), "figures/indelman_1a.svg")
    tamper(path, f"{float(number[1]) + 0.001:.4f}", f"{float(number[1]) + 2:.4f}")
    assert says(found(audit.figures_rebuild, finished), "figures/indelman_1a.svg")


def test_a_claim_and_the_report(finished, folder):
    tamper(folder / "claims.json", '"verdict": "not_attempted"', '"verdict": "supported"')
    assert says(found(audit.claims_rebuild, finished), "claims.json", "claims[indelman-1a-", "].verdict", "supported")
    tamper(folder / "report.html", "<b>2 <small>of 2", "<b>9 <small>of 2")
    assert says(found(audit.report_rebuilds, finished), "report.html", "line ", "9 <small>")
    assert says(found(audit.crate_rebuilds, finished), "ro-crate-metadata.json", "[claims.json].")


def test_a_file_that_is_gone(finished, folder):
    (folder / "tables/indelman_1a.tex").unlink()
    assert says(found(audit.manifest_holds, finished), "tables/indelman_1a.tex", "missing")
    assert says(found(audit.tables_rebuild, finished), "tables/indelman_1a.tex", "missing")
    (folder / RECORD).unlink()
    assert says(found(audit.manifest_holds, finished), RECORD, "missing")
    assert says(found(audit.tables_rebuild, finished), CELL)


def test_a_file_too_many(finished, folder):
    (folder / "records/indelman_1a/d=5/direct.400-401.json").write_bytes((folder / RECORD).read_bytes())
    (folder / "records/notes.txt").write_text("secret", encoding="utf-8")
    (folder / "tables/indelman_9.csv").write_text("paper\n", encoding="utf-8")
    for name in ("records/indelman_1a/d=5/direct.400-401.json", "records/notes.txt"):
        assert says(found(audit.records_are_in_place, finished), name, "stray")
        assert says(found(audit.manifest_holds, finished), name, "extra")
    assert says(found(audit.nothing_else_is_shown, finished), "tables/indelman_9.csv", "stray")


def test_a_file_among_the_records(finished, folder):
    (folder / "records/better.tmp").write_text("{}", encoding="utf-8")
    (folder / "records/.direct.0-2.json.71.tmp").write_text("{", encoding="utf-8")  # a kill left it
    manifest.write(finished.scale)
    findings = found(audit.records_are_in_place, finished)
    assert says(findings, "records/better.tmp", "stray")
    assert len(findings) == 1


# What takes a file's place


def fifo(path, target):
    os.mkfifo(path)


def link(path, target):
    path.symlink_to(target)


def dangling(path, target):
    path.symlink_to(path.with_name("nowhere"))


def folder_there(path, target):
    path.mkdir()


def hard_link(path, target):
    os.link(target, path)


@pytest.mark.parametrize("put", [fifo, link, dangling, folder_there])
def test_what_takes_a_files_place_is_named_and_never_followed(finished, folder, tmp_path, options, put):
    """Of every kind of file at once; the whole audit says so, and comes to its end."""
    wanted = {
        fifo: "a pipe",
        link: "a symbolic link, which is not followed",
        dangling: "a symbolic link, which is not followed",
        folder_there: "a folder in a file's place",
    }[put]
    names = [RECORD, "tables/indelman_1a.csv", "figures/indelman_1a.svg", "claims.json", "report.html"]
    for number, name in enumerate(names):
        (folder / name).rename(tmp_path / f"{number}")
        put(folder / name, tmp_path / f"{number}")
    findings = found(audit.files_are_plain, finished)
    assert len(findings) == len(names)
    for name in names:
        assert says(findings, name, wanted)
        assert says(found(audit.manifest_holds, finished), name, "missing")
    told = CliRunner().invoke(command, options)
    assert told.exit_code == 1, told.exception
    assert RECORD in told.output


def test_a_manifest_that_is_no_file(finished, folder):
    (folder / manifest.NAME).unlink()
    os.mkfifo(folder / manifest.NAME)
    assert says(found(audit.manifest_holds, finished), manifest.NAME, "not a regular file")
    assert says(found(audit.files_are_plain, finished), manifest.NAME, "a pipe")


def test_a_second_name_is_a_note(finished, folder, tmp_path):
    hard_link(tmp_path / "outside", folder / RECORD)
    scene = audit.Scene(finished)
    assert list(audit.files_are_plain(scene)) == []
    assert says(map(str, scene.notes), "1 files have a second name")


def test_a_strange_mode(finished, folder):
    (folder / RECORD).chmod(0o4644)
    assert says(found(audit.files_are_plain, finished), RECORD, "a strange mode for a file (-rwSr--r--)")
    (folder / RECORD).chmod(0o444)
    (folder / "tables").chmod(0o2755)
    assert found(audit.files_are_plain, finished) == []


# One text a record


def test_a_record_in_another_ones_place(finished, folder):
    other = "records/indelman_1a/d=5/no_solver.0-2.json"
    (folder / other).write_bytes((folder / RECORD).read_bytes())
    assert says(found(audit.records_are_in_place, finished), other, "'direct'", "'no_solver'")


@pytest.mark.parametrize(("role", "replica"), [("data", 2), ("noise", 1), ("noise", 0)])
def test_a_seed(finished, folder, role, replica):
    reseal(folder / RECORD, lambda record: record["seeds"][role].__setitem__(replica, 7))
    assert says(found(audit.seeds_follow_from_names, finished), RECORD, f"seeds.{role}, replica", ": 7")
    if role == "data":  # other seeds, other data
        assert says(found(audit.data_is_the_same, finished), RECORD, "data_digest")


def test_a_data_digest(finished, folder):
    reseal(folder / RECORD, lambda record: record["provenance"].update(data_digest="ab" * 32))
    assert says(found(audit.data_is_the_same, finished), RECORD, "abababababab")


@pytest.mark.parametrize(
    ("level", "device", "machine", "right"),
    [
        (2, "cpu", "x86_64", 1),
        (3, "cpu", "x86_64", 1),
        (1, "cuda:0", "x86_64", 3),
        (2, "cuda", "aarch64", 3),
        (1, "cpu", "aarch64", 2),
        (1, "cpu", None, 2),
    ],
)
def test_a_level_that_is_not_promised(finished, folder, level, device, machine, right):
    def forge(record, level=level):
        record["run"] |= {"device": device, "hardware": {"machine": machine} if machine else {}}
        record["level"] = level

    reseal(folder / RECORD, forge)
    assert found(audit.records_are_sealed, finished) == []
    place = f"{device} of {machine or 'an unknown machine'}"
    told = f"results/paper/{RECORD}: level: says {level}, but indelman_1a promises {right} on {place}"
    assert found(audit.levels_are_those_declared, finished) == [told]
    reseal(folder / RECORD, lambda record: forge(record, right))
    assert found(audit.levels_are_those_declared, finished) == []


def test_a_gpu_that_was_taken_out_of_a_record(finished, folder, options):
    """Where it ran is outside the digest; the level is not."""
    reseal(folder / RECORD, lambda record: record.update(level=3, run=record["run"] | {"device": "cuda"}))
    assert found(audit.levels_are_those_declared, finished) == []
    tamper(folder / RECORD, '"device": "cuda"', '"device": "cpu"')
    assert found(audit.records_are_sealed, finished) == []
    (told,) = found(audit.levels_are_those_declared, finished)
    assert says([told], RECORD, "says 3", "promises 1 on cpu")
    manifest.write(finished.scale)
    shown = CliRunner().invoke(command, options)
    assert shown.exit_code == 1
    assert f"     {told}\n" in shown.output


def test_records_from_before_levels_are_a_note(finished, folder, options):
    def notes():
        return [str(note) for note in audit.audit(finished)[1] if "level" in str(note)]

    reseal(folder / RECORD, lambda record: record.pop("level"))
    assert found(audit.levels_are_those_declared, finished) == []
    assert notes() == [
        "level 1 (the same bits on any x86-64 machine with AVX2): 1 record",
        "1 record was made before levels were declared, and promises none",
    ]
    other = folder / "records/indelman_1a/d=5/no_solver.0-2.json"
    reseal(other, lambda record: record.update(level=2, run=record["run"] | {"hardware": {"machine": "aarch64"}}))
    reseal(folder / RECORD, lambda record: record.update(level=1))
    both = (
        "level 1 (the same bits on any x86-64 machine with AVX2): 1 record; "
        "level 2 (the same bits on one machine, close on others): 1 record"
    )
    assert notes() == [both]
    assert f"note {both}\n" in CliRunner().invoke(command, options).output
    for path in (folder / RECORD, other):
        reseal(path, lambda record: record.pop("level"))
    assert notes() == ["2 records were made before levels were declared, and promise none"]


@pytest.mark.parametrize(
    ("metric", "report"),
    [
        ("percent_sequences_perfect", {"successes": 2, "trials": 1}),
        ("prop_wrong_mean", {"sum": 1.2, "sum_squares": 1.44, "count": 1}),
        ("prop_wrong_mean_100", {"sum": 30.0, "sum_squares": 8.0, "count": 100}),  # at least 9
        ("prop_wrong_mean_100", {"sum": 30.0, "sum_squares": 31.0, "count": 100}),  # at most 30
        ("percent_of_nothing", {"successes": 1, "trials": 1}),
    ],
)
def test_numbers_that_cannot_be(finished, folder, metric, report):
    reseal(folder / RECORD, lambda record: record["results"][1]["metrics"].update({metric: report}))
    assert says(found(audit.numbers_are_possible, finished), RECORD, "replica 1", metric)


@pytest.mark.parametrize(
    ("report", "possible"),
    [
        ({"sum": -3.0, "sum_squares": 2.5, "count": 4}, True),
        ({"sum": -3.0, "sum_squares": 2.2, "count": 4}, False),  # at least 9/4
        ({"sum": -3.0, "sum_squares": 4.1, "count": 4}, False),  # squares of correlations are at most 1
        ({"sum": -4.1, "sum_squares": 4.3, "count": 4}, False),
        ({"sum": 4.1, "sum_squares": 4.3, "count": 4}, False),
    ],
)
def test_correlations_that_can_be(project, fabricate, ranked_report, report, possible):
    plan = load_plan("paper", {"experiments": ["berthet_1"], "settings": ["iris"], "arms": ["squared"]})
    fabricate(plan, plan.shards[0], [ranked_report(0.8)] * 9 + [{"spearman": report}])
    assert (found(audit.numbers_are_possible, plan) == []) is possible


@pytest.mark.parametrize(
    ("report", "possible"),
    [
        ({"sum": -3.0, "sum_squares": 900.0, "count": 4}, True),  # no end below: squares may be anything
        ({"sum": -3.0, "sum_squares": 2.2, "count": 4}, False),  # at least 9/4
        ({"sum": 0.1, "sum_squares": 900.0, "count": 4}, False),
    ],
)
def test_means_without_an_end_that_can_be(report, possible):
    assert _possible(report, -inf, 0.0) is possible


def test_folds_of_one_data_set_have_one_data_seed(project, fabricate, ranked_report):
    """Seeds derive from the name that both label-ranking tables share."""
    plan = load_plan("paper", {"experiments": ["berthet_1"], "settings": ["iris"], "arms": ["squared"]})
    cut = seed_for("label_ranking", "iris", None, 0, "data")
    noise = [seed_for("label_ranking", "iris", "squared", fold, "noise") for fold in range(10)]
    for data, right in (([cut] * 10, True), ([cut + 1] * 10, False), ([*[cut] * 9, cut + 1], False)):
        fabricate(plan, plan.shards[0], [ranked_report(0.8)] * 10, changes={"seeds": {"data": data, "noise": noise}})
        assert (found(audit.seeds_follow_from_names, plan) == []) is right


def test_the_manifest_itself(finished, folder):
    path = folder / manifest.NAME
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines == sorted(lines, key=lambda line: line[66:])
    path.write_text("\n".join(lines[1:]) + "\n", encoding="utf-8")
    assert says(found(audit.manifest_holds, finished), lines[0][66:], "extra")
    path.write_text("nonsense\n", encoding="utf-8")
    assert says(found(audit.manifest_holds, finished), "MANIFEST.sha256", "line 1")
    path.unlink()
    assert says(found(audit.manifest_holds, finished), "MANIFEST.sha256", "cannot be read")


def test_the_manifest_leaves_out_what_comes_and_goes(finished, folder):
    before = manifest.build(finished.scale)
    for name in ("mlflow.db", "mlflow.db-journal", "mlartifacts/1/a.txt", "logs/a.log", "tables/.x.csv.1.tmp"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x", encoding="utf-8")
    assert manifest.build(finished.scale) == before


def test_nothing_to_audit_is_a_users_error(project, capsys):
    with pytest.raises(SystemExit) as left:
        main(["audit", "--scale", "desktop"])
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "nothing to audit in results/desktop" in said


def test_differences_are_named():
    csv = b"a,b\n1,2\n"
    assert first_difference(csv, csv, ".csv") is None
    assert first_difference(b"a,b\n1,3\n", csv, ".csv") == "line 2, column b: says '3', rebuilding gives '2'"
    assert first_difference(b"a,b\n", csv, ".csv") == "line 2: missing"
    assert first_difference(b"a,b\n1,2\n9,9\n", csv, ".csv") == "line 3: one line too many"
    assert first_difference(b"a,b\r\n1,2\r\n", csv, ".csv") == "its line ends differ"
    assert first_difference(b"\xff", csv, ".csv") == "it is not text any more"
    assert first_difference(b'{"x": [1, 2]}', b'{"x": [1, 3]}', ".json") == "x[1]: says 2, rebuilding gives 3"
    assert "not JSON" in str(first_difference(b"{", b"{}", ".json"))
    assert first_difference(b"{ }", b"{}", ".json") is not None
    assert str(first_difference(b"ab1", b"ab2", ".md")).startswith("line 1, character 3: ")


@pytest.mark.parametrize(
    ("found_there", "same"),
    [
        (b"L 10.123457 2.000000", True),
        (b"L 10.223457 2.000000", False),
        (b"L 10.123456 2.0", False),  # a value that people read has few digits, and none of them may move
        (b"M 10.123456 2.000000", False),
    ],
)
def test_only_coordinates_may_move(found_there, same):
    assert same_drawing(found_there, b"L 10.123456 2.000000") is same


def test_an_audit_without_a_folder_says_so(project):
    from structgrad.repro.planning.plan import load_plan

    with pytest.raises(UserError, match="nothing to audit"):
        audit.audit(load_plan("smoke"))
