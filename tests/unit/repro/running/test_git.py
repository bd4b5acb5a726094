"""Records name the commit of this project or none, in real repositories."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from structgrad.repro.running import git
from structgrad.repro.running.doctor import git as ask_doctor

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def run(folder, *arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder):
    run(folder, "init", "--quiet")
    run(folder, "add", "--all")
    run(folder, "commit", "--quiet", "--allow-empty", "--message", "one")
    return run(folder, "rev-parse", "HEAD")


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in git.ELSEWHERE:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def inner(tmp_path, monkeypatch):
    """A project in a folder below the test's own."""
    root = tmp_path / "outer" / "archive"
    (root / "workflow/scales").mkdir(parents=True)
    (root / "config.yaml").write_text("scale: smoke\n")
    monkeypatch.setenv("STRUCTGRAD_ROOT", str(root))
    return root


def test_its_own_commit_and_whether_it_is_dirty(inner):
    head = commit(inner)
    assert git.state() == (head, False, "")
    (inner / "config.yaml").write_text("scale: paper\n")
    assert git.state() == (head, True, "")


def test_results_do_not_make_it_dirty(inner):
    (inner / "results").mkdir()
    (inner / "results/a.json").write_text("1")
    head = commit(inner)
    (inner / "results/a.json").write_text("2")
    assert git.state() == (head, False, "")


@pytest.mark.parametrize("tracked", [False, True])
def test_an_archive_inside_another_repository_has_no_commit(inner, tracked):
    if not tracked:
        (inner.parent / ".gitignore").write_text("archive/\n")
    commit(inner.parent)
    found = git.state()
    assert (found.commit, found.dirty) == (None, None)
    assert str(inner.parent) in found.why
    (told,) = ask_doctor(None)  # pyright: ignore[reportArgumentType]
    assert (told.state, told.seen) == ("warn", found.why)


def test_a_checkout_inside_another_repository_has_its_own(inner):
    outer = commit(inner.parent)
    head = commit(inner)
    assert git.state().commit == head != outer


def test_a_worktree_has_its_own(inner, monkeypatch):
    (inner / "workflow/scales/smoke.yaml").write_text("x: 1\n")
    head = commit(inner)
    run(inner, "worktree", "add", "--quiet", str(inner.parent / "tree"))
    monkeypatch.setenv("STRUCTGRAD_ROOT", str(inner.parent / "tree"))
    assert git.state() == (head, False, "")


def test_the_variables_of_a_hook_change_nothing(inner, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    commit(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(inner))
    assert git.state() == (None, None, "not a git checkout")


def test_no_repository_no_commit_no_git(inner, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", "/")
    assert git.state() == (None, None, "not a git checkout")
    run(inner, "init", "--quiet")
    assert git.state() == (None, None, "a git repository without a commit")
    monkeypatch.setenv("PATH", str(inner))
    assert git.state() == (None, None, "git is not installed")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_checkout_of_another_user_has_its_commit(inner, monkeypatch):
    head = commit(inner)
    for folder, _, names in os.walk(inner):
        for path in (folder, *(os.path.join(folder, name) for name in names)):  # noqa: PTH118
            os.chown(path, 54321, 54321)
    with pytest.raises(subprocess.CalledProcessError) as raised:
        run(inner, "status")
    assert "dubious ownership" in raised.value.stderr
    assert git.state() == (head, False, "")


def test_a_damaged_repository_says_what_git_says(inner):
    commit(inner)
    (inner / ".git/HEAD").write_text("ref: refs/heads/nowhere\n")
    shutil.rmtree(inner / ".git/objects")
    found = git.state()
    assert found.commit is None
    assert found.why
    assert "\n" not in found.why


def test_the_audit_asks_no_other_repository(inner):
    commit(inner.parent)
    with pytest.raises(git.NoRepositoryError, match="not a git checkout of its own"):
        git.ask("show", "HEAD:./config.yaml")
