"""Attestations: what they say, that an edit of one is found, and what other machines' words come to."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from structgrad.errors import UserError
from structgrad.repro import audit
from structgrad.repro.cli import cli
from structgrad.repro.evidence import attestations, signatures
from structgrad.repro.evidence.records import load, save
from structgrad.repro.evidence.words import Word, together, words_here
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.tables.machines import _largest, between_machines

OVERRIDES = {"experiments": ["indelman_1a"], "arms": ["direct", "no_solver"], "settings": ["d=5"], "replicas": 2}
DIRECT = "records/indelman_1a/d=5/direct.0-1.json"
needs_ssh = pytest.mark.skipif(not signatures.available(), reason="there is no ssh-keygen")


def call(*words):
    return CliRunner().invoke(cli, list(words))


def findings(scene=None):
    return [str(found) for found in audit.attestations_hold(scene or audit.Scene(load_plan("smoke", OVERRIDES)))]


def rewrite(path, change):
    """Edit an attestation as one would who knows how they are named."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.unlink()
    path = path.with_name(attestations.name_of(content))
    path.write_text(attestations.text_of(content), encoding="utf-8")
    return path


def test_a_statement_is_in_totos_and_of_the_files(attestation):
    path = attestation
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content.keys() == {"_type", "subject", "predicateType", "predicate"}  # in-toto's specification, v1
    assert content["_type"] == "https://in-toto.io/Statement/v1"
    for subject in content["subject"]:
        file = results("smoke") / subject["name"]
        assert subject["digest"] == {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    predicate = content["predicate"]
    assert {one["verdict"] for one in predicate["outcomes"]} == {"identical"}
    assert predicate["draw"]["seed"] == "abc"
    assert predicate["draw"]["records"] == 2
    assert predicate["by"]["hardware"] == load(results("smoke") / DIRECT)["run"]["hardware"]
    assert path.name.rpartition(".")[0].endswith(hashlib.sha256(path.read_bytes()).hexdigest()[:12])
    assert findings() == []


def test_every_edit_is_found(attestation):
    """Each is of an attestation that was named anew, so that nothing but what it says gives it away."""
    path = attestation
    honest = path.read_text(encoding="utf-8")
    edits = {
        "digests of the numbers say otherwise": lambda c: c["predicate"]["outcomes"][0].update(verdict="equal"),
        "its seed draws others": lambda c: (c["subject"].reverse(), c["predicate"]["outcomes"].reverse()),
        "made_up_below: says 0.01": lambda c: c["predicate"].update(made_up_below=0.01),
        "proves: says": lambda c: c["predicate"].update(proves="everything"),
        "of another record than is here": lambda c: c["subject"][0]["digest"].update(sha256="0" * 64),
        "its record is not": lambda c: c["subject"][0].update(name="records/other.json"),
        "there is no record of it": lambda c: c["predicate"]["outcomes"][0].update(shard="indelman_1a/d=5/none/0-1"),
        "processor: says Abacus": lambda c: c["predicate"]["outcomes"][0].update(processor="Abacus"),
        "record: says 000": lambda c: c["predicate"]["outcomes"][0].update(record="0" * 64),
        "of scale paper": lambda c: c["predicate"].update(scale="paper"),
        "draw: there for a replay": lambda c: c["predicate"].update(draw=None),
        "a statement of urn:other": lambda c: c.update(predicateType="urn:other"),
        "not an in-toto statement": lambda c: c.update(signed=True),
        "not one subject for each": lambda c: c["subject"].pop(),
        "predicate.outcomes.0.verdict": lambda c: c["predicate"]["outcomes"][0].update(verdict="fine"),
    }
    scene = audit.Scene(load_plan("smoke", OVERRIDES))  # which reads the records once
    for told, change in edits.items():
        edited = rewrite(path, change)
        found = findings(scene)
        assert any(told in one for one in found), (told, found)
        edited.unlink()
        path.write_text(honest, encoding="utf-8")
    assert findings() == []


def test_a_byte_of_it(attestation):
    path = attestation
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"seconds": ', '"seconds":  ', 1), encoding="utf-8")
    assert "not written as an attestation is" in findings()[0]
    path.write_text(text.replace('"seconds": ', '"seconds": 1', 1), encoding="utf-8")
    assert "its name is that of another content" in findings()[0]


def test_a_record_that_was_trained_anew_since(attestation):
    path = attestation
    record = load(results("smoke") / DIRECT)
    record["run"]["seconds"] += 1
    save(record, results("smoke") / DIRECT)
    assert [found for found in findings() if "of another record than is here" in found]
    assert [word.shard for word in words_here("smoke")] == ["indelman_1a/d=5/no_solver/0-1"]
    assert path.is_file()


def test_only_attestations_and_their_signatures_lie_there(attestation):
    path = attestation
    (path.parent / "notes.txt").touch()
    (path.parent / "lonely.json.sig").touch()
    path.with_name(f"{path.name}.sigstore.json").touch()
    (path.parent / "deeper").mkdir()
    (path.parent / "deeper" / path.name).touch()
    scene = audit.Scene(load_plan("smoke", OVERRIDES))
    stray = [str(found) for found in audit.nothing_else_is_shown(scene) if "attestations" in str(found)]
    assert len(stray) == 3
    assert all("lonely" in found or "notes" in found or "deeper" in found for found in stray)


# Signatures


@pytest.fixture
def key(tmp_path):
    """An ssh key, and the allowed-signers file that names its owner."""
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "somebody", "-f", str(path)], check=True)
    signers = tmp_path / "signers"
    signers.write_text(f"somebody@here {path.with_suffix('.pub').read_text()}", encoding="utf-8")
    return path, signers


@needs_ssh
def test_a_signature_is_of_the_content_and_of_the_key(attestation, tiny, key, tmp_path):
    private, signers = key
    path = attestation
    signatures.sign(path, private)
    assert findings() == []
    assert signatures.signer(path, signers) == "somebody@here"
    others = tmp_path / "others"
    others.write_text("somebody@else ssh-ed25519 " + "A" * 68 + "\n", encoding="utf-8")
    assert signatures.signer(path, others) is None
    for allowed, counted in ((signers, 2), (others, 0)):
        told = call("merge", "--signers", str(allowed), "--json", *tiny)
        assert len(json.loads(told.stdout)["shards"]) == counted
    signature = signatures.signature_of(path)
    changed = rewrite(path, lambda content: content["predicate"]["by"]["libraries"].update(torch="9"))
    signature.rename(signatures.signature_of(changed))
    assert ["no signature of this attestation" in found for found in findings()] == [True]


@needs_ssh
def test_a_key_that_is_not_there_is_said_before_anything_is_trained(trained, tiny):
    told = call("attest", "--key", "nowhere", *tiny)
    assert isinstance(told.exception, UserError)
    assert "there is no key nowhere" in str(told.exception)
    assert list(attestations.paths_of("smoke")) == []


# Other machines


def elsewhere(tmp_path, change=lambda record: None, name="Abacus 9"):
    """A copy of the record of `direct` as another machine might have made it."""
    record = load(results("smoke") / DIRECT)
    record["run"]["hardware"] = {**record["run"]["hardware"], "processor": name}
    change(record)
    path = tmp_path / "other" / DIRECT
    save(record, path)
    return path.parents[3]


def test_whole_records_of_another_machine(trained, tiny, tmp_path):
    other = elsewhere(tmp_path)
    told = call("merge", str(other), "--write", *tiny)
    assert told.exit_code == 0, told.output
    assert "identical  indelman_1a/d=5/direct/0-1" in told.output
    assert "Abacus 9: identical" in told.output
    (path,) = attestations.paths_of("smoke")
    assert path.name.startswith("abacus-9.")
    assert findings() == []
    lines = between_machines(["smoke"])
    assert [line for line in lines if line.endswith("| Abacus 9 | 1 |  |  |  | none |")]


def test_a_digit_of_another_machines_record_is_a_conflict(trained, tiny, tmp_path):
    def change(record):
        record["history"]["loss"][0] += 1e-9

    told = call("merge", str(elsewhere(tmp_path, change)), *tiny)
    assert told.exit_code == 1
    assert "history.loss.0" in told.output
    assert "1 records of scale smoke beside other trainings: 1 conflict" in told.output


def test_what_cannot_be_compared_is_set_apart(trained, tiny, tmp_path):
    other = elsewhere(tmp_path, lambda record: record["config"].update(epochs=1))
    told = call("merge", str(other), "--json", *tiny)
    (apart,) = json.loads(told.stdout)["apart"]
    assert "another training than the record here (config.epochs" in apart[1]
    for path, why in ((tmp_path / "none", "there is no"), (trained / "config.yaml", "not JSON")):
        told = call("merge", str(path), *tiny)
        assert isinstance(told.exception, UserError)
        assert why in str(told.exception)


def test_attestations_travel(attestation, tiny, tmp_path):
    """One that was written elsewhere is copied as it is and counts once; it must be of these records."""
    path = attestation
    away = tmp_path / "away"
    shutil.move(path.parent, away)
    shutil.copy(away / path.name, away / "renamed.json")
    told = call("merge", str(away), str(away / "renamed.json"), "--write", "--json", *tiny)
    assert json.loads(told.stdout)["shards"] == {
        f"indelman_1a/d=5/{a}/0-1": "identical" for a in ("direct", "no_solver")
    }
    assert len(json.loads(told.stdout)["said"]) == 2
    assert path.read_bytes() == (away / path.name).read_bytes()
    record = load(results("smoke") / DIRECT)
    save({**record, "run": {**record["run"], "seconds": 9.0}}, results("smoke") / DIRECT)
    told = call("merge", str(away), "--json", *tiny)
    assert [why for _, why in json.loads(told.stdout)["apart"]] == ["another record than is here"]


@needs_ssh
def test_an_emulated_machine_is_named_and_counts_for_nothing(trained, tiny, key, monkeypatch):
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    told = call("attest", "--replay", "1", "--seed", "abc", "--key", str(key[0]), *tiny)
    assert told.exit_code == 0, told.output
    words = words_here("smoke")
    assert all(word.again_by.endswith("emulating another (NUMBA_CPU_NAME=generic)") for word in words)
    assert together(words) == {}
    (path,) = attestations.paths_of("smoke")
    assert signatures.fault(path) is None
    assert findings() == []


def test_nothing_to_merge(trained, tiny):
    told = call("merge", *tiny)
    assert isinstance(told.exception, UserError)
    assert "nothing to merge" in str(told.exception)
    assert between_machines(["smoke"]) == []


def test_the_largest_difference_is_told_by_the_metrics_margin():
    """Of a metric that is set beside no print, and has no margin, in its unit."""

    def word(experiment, *moved):
        metrics = [{"metric": name, "unit": "%", "before": 1.0, "now": 1.0 + apart} for name, apart in moved]
        return Word(f"{experiment}/x/y/0-0", "equal", "", "A", "B", False, metrics, "")

    moved = ("prop_wrong_mean", 0.25), ("percent_sequences_perfect", 1.0)  # of margins 0.5 and 5
    assert _largest([word("indelman_1a", *moved)]) == "+0.25 % (prop_wrong_mean)"
    assert _largest([word("berthet_artificial", ("partial_noisy", -0.25))]) == "-0.25 % (partial_noisy)"
    assert _largest([word("indelman_1a")]) == "none"
