"""A checkpoint that is whole and holds something else is set aside by name, and the training begins anew."""

from __future__ import annotations

import hashlib

import pytest
import torch
from click.testing import CliRunner

from structgrad.repro.cli import cli
from structgrad.repro.evidence.records import load
from structgrad.repro.planning.config import parse_overrides
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.running.places import own
from structgrad.repro.running.run import key_of
from structgrad.training.checkpoint import Checkpoint

SHARD = "indelman_1a/d=5/direct/0-1"
OPTIONS = ["experiments=[indelman_1a]", "arms=[direct]", "settings=['d=5']", "replicas=2"]
WORDS = ["run", SHARD, "--scale", "smoke", *(word for option in OPTIONS for word in ("--set", option))]


def seal(path, content):
    path.write_bytes(hashlib.sha256(content).digest() + content)


def saved(state):
    return lambda checkpoint: checkpoint.save(state)


@pytest.mark.parametrize(
    "put",
    [
        saved([1, 2, 3]),
        saved({"trainee": {}}),
        saved({"trainee": {"results": [], "generator": torch.zeros(3)}, "steps": 1, "resumed": 0, "seconds": 1.0}),
        saved({"trainee": None, "steps": 1, "resumed": 0, "seconds": 1.0}),
        saved({"steps": 1}),
        lambda checkpoint: seal(checkpoint.path, b"rubbish"),
        lambda checkpoint: seal(checkpoint.path, b""),
    ],
)
def test_it_is_set_aside(project, put):
    plan = load_plan("smoke", parse_overrides(OPTIONS))
    shard = plan.shard(SHARD)
    checkpoint = Checkpoint(own(shard).checkpoint, key_of(plan, shard))
    checkpoint.path.parent.mkdir(parents=True)
    put(checkpoint)
    strange = checkpoint.path.read_bytes()
    told = CliRunner().invoke(cli, WORDS)
    assert told.exit_code == 0, told.output
    assert (
        "is no state of this training: it was set aside as checkpoint.pt.unusable; the training begins" in told.stderr
    )
    assert checkpoint.path.with_name("checkpoint.pt.unusable").read_bytes() == strange
    assert not checkpoint.path.exists()
    record = load(shard.path)
    assert record["run"]["resumed"] == 0
    assert CliRunner().invoke(cli, [*WORDS, "--compare"]).exit_code == 0  # as a training without it gives
