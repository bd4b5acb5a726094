"""Where a number comes from names the logs of its trainings in this checkout."""

from structgrad.repro.report.explain import as_text, explain

CELL = "indelman/1a/d=5/Direct/percent_sequences_perfect"
LOG = "results/paper/logs/train/indelman_1a/d=5/direct.0-2.log"


def test_logs_are_named_where_there_are_some(finished):
    assert explain(finished, CELL)["logs"] == []
    (shard,) = finished.shards_of("indelman_1a", arm="direct")
    shard.log.parent.mkdir(parents=True)
    shard.log.write_text("2030-01-01T00:00:00+00:00 done: well\n")
    facts = explain(finished, CELL)
    assert facts["logs"] == [LOG]
    assert f"  log         {LOG}" in as_text(facts).splitlines()
