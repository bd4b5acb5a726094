"""The whole chain on a small selection: it runs, reruns exactly what an edit touches, and says mistakes in a line."""

import platform
import re
from collections import Counter

import pytest

from structgrad.experiments import REGISTRY
from structgrad.repro.evidence import records
from structgrad.repro.running.levels import MEANINGS

SMALL = ["experiments=[indelman_1a]", "arms=[direct,no_solver]", "settings=[d=5]", "replicas=2"]
DERIVED = {"tables", "claims", "figures", "tracking", "report", "all"}


def planned(python):
    """The rules that a dry run would execute, with how often; training jobs by their kind."""
    shown = python("-m", "snakemake", "--cores", "1", "--dry-run", "--config", *SMALL).stdout
    if "Nothing to be done" in shown:
        return {}
    counts = shown[shown.index("Job stats:") :].split("total")[0]
    found = Counter()
    for name, count in re.findall(r"^(\w+) +(\d+)$", counts, re.MULTILINE):
        found[re.sub(r"^train_\w+_\d+$", "train", name)] += int(count)
    return dict(found)


@pytest.fixture(scope="module")
def reproduced(python):
    options = [word for pair in SMALL for word in ("--set", pair)]
    return python("-m", "structgrad", "reproduce", "--scale", "smoke", "--cores", "2", *options)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_one_command_sums_up_and_writes_everything(clone, reproduced):
    assert "Here and now (scale smoke, " in reproduced.stdout
    assert "2 printed numbers judged on the uncut protocol, " in reproduced.stdout
    assert "  indelman Table 1a: " in reproduced.stdout
    assert "The results of the repository, the best record of each number:" in reproduced.stdout
    assert "report:      results/smoke/report.html" in reproduced.stdout
    results = clone / "results/smoke"
    for name in (
        "records/indelman_1a/d=5/direct.0-1.json",
        "data/indelman_1a.json",
        "tables/indelman_1a.csv",
        "tables/indelman_1a.md",
        "tables/indelman_1a.html",
        "tables/indelman_1a.tex",
        "figures/indelman_1a.svg",
        "claims.json",
        "report.html",
        "ro-crate-metadata.json",
        "MANIFEST.sha256",
        "mlflow.db",
    ):
        assert (results / name).is_file(), name


def test_a_record_carries_its_level(clone, reproduced, python):
    path = clone / "results/smoke/records/indelman_1a/d=5/direct.0-1.json"
    record = records.load(path)
    assert record["level"] == REGISTRY["indelman_1a"].level_on("cpu", platform.machine())
    options = [word for pair in SMALL for word in ("--set", pair)]
    told = python("-m", "structgrad", "audit", "--scale", "smoke", *options).stdout
    (line,) = [line for line in told.splitlines() if line.startswith("note level ")]
    assert line == f"note level {record['level']} ({MEANINGS[record['level']]}): 2 records"


def test_nothing_is_done_twice(reproduced, python):
    assert planned(python) == {}


def test_the_audit_holds(reproduced, python):
    options = [word for pair in SMALL for word in ("--set", pair)]
    python("-m", "structgrad", "audit", "--scale", "smoke", *options)


@pytest.mark.parametrize(
    ("path", "old", "new", "rules"),
    [
        ("polytopes/matching.py", 'count(n, "n")', 'count(n, "n", 1)', {"train": 1, **dict.fromkeys(DERIVED, 1)}),
        (
            "experiments/indelman/sorting/data.py",
            "import hashlib",
            "import hashlib\nimport sys",
            {"data": 1, "train": 1, **dict.fromkeys(DERIVED, 1)},
        ),
        ("polytopes/matching.py", "Perfect matchings", "All matchings", {}),
        ("repro/figures/lines.py", "\n\nimport ", "\n\nimport sys\nimport ", {"figures": 1, "report": 1, "all": 1}),
        ("repro/claims/share.py", "import ceil,", "import pi, ceil,", {"claims": 1, "report": 1, "all": 1}),
        (
            "repro/tables/layouts.py",
            "\n\nfrom dataclasses",
            "\n\nimport sys\nfrom dataclasses",
            {"tables": 1, "report": 1, "all": 1},
        ),
        ("repro/tracking/mlflow_store.py", "\n\nimport ", "\n\nimport sys\nimport ", {"tracking": 1, "all": 1}),
        ("repro/judging/verdicts.py", "import floor,", "import pi, floor,", dict.fromkeys(DERIVED, 1)),
        ("repro/tracking/ingestion.py", "\n\nimport ", "\n\nimport sys\nimport ", {"tracking": 1, "all": 1}),
        ("repro/templates/report/page.html.j2", "</body>", "<!-- new --></body>", {"report": 1, "all": 1}),
        ("experiments/indelman/published_numbers.csv", "98.5", "98.6", dict.fromkeys(DERIVED, 1)),
        ("experiments/indelman/claims.yaml", "kind: better", "kind:  better", {"claims": 1, "report": 1, "all": 1}),
        ("experiments/indelman/sorting/indelman_1a.rst", "Learning", "To learn", {"report": 1, "all": 1}),
        ("experiments/indelman/sorting/spec.py", "Fixed sigma", "Constant sigma", dict.fromkeys(DERIVED, 1)),
        ("experiments/berthet/paper.py", "Learning", "To learn", dict.fromkeys(DERIVED, 1)),
        ("repro/running/doctor.py", "\n\nimport ", "\n\nimport sys\nimport ", {}),
    ],
)
def test_an_edit_reruns_exactly_what_depends_on_it(reproduced, clone, python, path, old, new, rules):
    source = clone / "src/structgrad" / path
    before = source.read_bytes()
    edit(source, old, new)
    try:
        assert planned(python) == rules
    finally:
        source.write_bytes(before)


def test_a_changed_hyper_parameter_trains_anew(reproduced, clone, python):
    scale = clone / "workflow/scales/smoke.yaml"
    before = scale.read_text()
    edit(scale, "max_epochs: 150", "max_epochs: 151")
    try:
        assert planned(python)["train"] == 1
    finally:
        scale.write_text(before)


def test_planning_loads_nothing_heavy(python):
    """What keeps a dry run under 3 s: torch and mlflow alone take longer than that on a cold disk."""
    code = (
        "import sys\nfrom snakemake.cli import main\n"
        "sys.argv = ['snakemake', '--cores', '1', '--dry-run', '--quiet', 'all']\n"
        "try:\n    main()\nexcept SystemExit as left:\n    assert not left.code\n"
        "print({'torch', 'mlflow', 'matplotlib', 'numba', 'scipy'} & set(sys.modules))"
    )
    assert python("-c", code).stdout.strip().endswith("set()")


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("scale=smok", "structgrad: unknown scale 'smok'; did you mean 'smoke'?"),
        ("arms=[direkt]", "structgrad: unknown arm 'direkt'; did you mean 'direct'?"),
        ("replica=3", "structgrad: config.yaml: unknown key 'replica'; did you mean 'replicas'?"),
    ],
)
def test_a_wrong_configuration_is_one_line_and_exit_2(python, option, line):
    done = python("-m", "snakemake", "--cores", "1", "--dry-run", "--config", option, check=False)
    assert done.returncode == 2
    assert [said for said in done.stderr.splitlines() if said] == [line]
