"""Replicas are trained and counted once, however they were cut into slices."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from structgrad.repro.audit.places import records_are_in_place
from structgrad.repro.audit.scene import Scene
from structgrad.repro.evidence.gathering import gather, results_of
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.planning.shard import Shard
from structgrad.repro.planning.slices import settled, uncounted

CHOSEN = {"experiments": ["indelman_1a"], "settings": ["d=5"], "arms": ["direct"]}
spans = st.tuples(st.integers(0, 25), st.integers(1, 12)).map(lambda drawn: (drawn[0], sum(drawn) - 1))


def planned(*ends):
    """The shards that end before each of ``ends``."""
    return [Shard("paper", "indelman_1a", "d=5", "direct", a, b - a) for a, b in pairwise((0, *ends))]


def there(shard):
    shard.path.parent.mkdir(parents=True, exist_ok=True)
    shard.path.write_text("{}")


def cut(*spans):
    return [Shard("paper", "indelman_1a", "d=5", "direct", a, b - a + 1) for a, b in spans]


@pytest.mark.parametrize(
    ("on_disk", "size", "expected"),
    [
        ([], None, [(0, 9), (10, 19)]),
        ([], 4, [(0, 3), (4, 7), (8, 9), (10, 13), (14, 17), (18, 19)]),
        ([(0, 9)], 4, [(0, 9), (10, 13), (14, 17), (18, 19)]),  # what is trained stays whole
        ([(2, 3)], None, [(0, 1), (2, 3), (4, 9), (10, 19)]),
        ([(8, 11)], None, [(0, 7), (8, 11), (12, 19)]),  # across two of them
        ([(0, 9), (2, 3)], None, [(0, 9), (10, 19)]),  # a planned record comes before its slices
        ([(0, 3), (2, 5), (6, 9)], None, [(0, 3), (4, 5), (6, 9), (10, 19)]),  # the first of two that overlap
        ([(0, 3), (0, 5)], None, [(0, 5), (6, 9), (10, 19)]),  # the longer
        ([(18, 25)], None, [(0, 9), (10, 19)]),  # more than the scale asks for
    ],
)
def test_what_is_there_and_what_is_left(project, on_disk, size, expected):
    for shard in cut(*on_disk):
        there(shard)
    assert list(settled(planned(10, 20), size)) == cut(*expected)


def test_other_files_are_no_slices(project):
    for name in (
        "direct.00-3.json",
        "direct.3-1.json",
        "direct.0-3.no_data",
        "direct_stochastic.0-3.json",
        ".direct.0-3.json.1.tmp",
    ):
        path = planned(10)[0].path.with_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert list(settled(planned(10))) == planned(10)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(on_disk=st.lists(spans, max_size=5), size=st.none() | st.integers(1, 6))
def test_every_replica_is_planned_once(project, on_disk, size):
    for path in (project / "results").rglob("*.json"):
        path.unlink()
    for shard in cut(*on_disk):
        there(shard)
    found = list(settled(planned(5, 20, 30), size))
    assert [replica for shard in found for replica in range(shard.first, shard.first + shard.count)] == list(range(30))
    for shard in found:
        assert size is None or shard.path.is_file() or shard.count <= size
    left = [shard for shard in found if not shard.path.is_file()]
    for shard in found:  # training one by one what is left changes nothing of what others are to do
        if shard in left:
            there(shard)
            assert list(settled(planned(5, 20, 30), size)) == found


def test_what_would_count_nowhere_is_said(project):
    there(cut((0, 3))[0])
    own = list(settled(planned(10)))
    (new, twice, beyond) = cut((4, 7), (2, 5), (8, 12))
    assert uncounted(new, own) is None
    assert uncounted(cut((0, 3))[0], own) is None
    assert uncounted(twice, own) == "direct.0-3.json has some of its replicas already"
    assert uncounted(beyond, own) == "the scale has replicas up to 9 of it"


@pytest.fixture
def sliced(project, fabricate, sorted_report):
    """Records of replicas 0-1, 2-2 and, again, 1-2 of a plan of three."""

    def make(right=1, changes=None):
        plan = load_plan("paper", CHOSEN | {"replicas": 3})
        for identity in ("0-1", "2-2", "1-2"):
            shard = plan.shard(f"indelman_1a/d=5/direct/{identity}")
            odd = identity == "1-2"
            fabricate(
                plan, shard, [sorted_report(right if odd else 1, 99)] * shard.count, changes=changes if odd else None
            )
        return load_plan("paper", CHOSEN | {"replicas": 3})

    return make


def test_tables_count_slices_once(sliced):
    plan = sliced()
    assert [shard.span for shard in plan.shards] == ["0-1", "2-2"]
    evidence = gather(plan.experiments["indelman_1a"], plan.shards)
    assert list(results_of(evidence)) == [0, 1, 2]
    assert len(evidence) == 2


@pytest.mark.parametrize(
    ("right", "changes", "fault"),
    [
        (1, None, None),
        (
            0,
            None,
            "replica 1: trained alike, but results/paper/records/indelman_1a/d=5/direct.0-1.json has other results",
        ),
        (0, {"level": 2}, None),  # which promises no bits of another machine
        (1, {"arm": "no_solver"}, "arm: says 'no_solver', but here belongs 'direct'"),
    ],
)
def test_the_audit_compares_what_is_spare(sliced, right, changes, fault):
    scene = Scene(sliced(right, changes))
    found, spare = [str(finding) for finding in records_are_in_place(scene)], "records/indelman_1a/d=5/direct.1-2.json"
    if fault is None:
        assert found == []
        assert [spare in str(note) and "spare" in str(note) for note in scene.notes] == [True]
        assert "direct.0-1.json" in str(scene.notes[0])
        assert "direct.2-2.json" in str(scene.notes[0])
    else:
        assert found[0] == f"results/paper/{spare}: {fault}"
        assert scene.notes == []


def test_a_slice_beyond_the_scale_is_stray(sliced, project):
    folder = project / "results/paper/records/indelman_1a/d=5"
    scene = Scene(sliced())
    (folder / "direct.400-401.json").write_bytes((folder / "direct.0-1.json").read_bytes())
    assert [str(finding) for finding in records_are_in_place(scene)] == [
        "results/paper/records/indelman_1a/d=5/direct.400-401.json: stray: no training job of this scale writes here"
    ]


def test_config_slices_what_is_not_trained(sliced):
    sliced()
    plan = load_plan("paper", CHOSEN | {"replicas": 9, "slice": 4})
    assert [shard.span for shard in plan.shards] == ["0-1", "2-2", "3-6", "7-8"]
    assert json.loads(plan.shards[0].path.read_text())["replicas"] == {"first": 0, "count": 2}
