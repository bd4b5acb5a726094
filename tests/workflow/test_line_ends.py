"""What git checks out is what was committed, however a user's git is set."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from structgrad.repro.report import manifest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    shutil.which("git") is None or not (ROOT / ".git").exists(), reason="not a git checkout"
)


def git(folder, *arguments):
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True).stdout.decode()


def cloned(folder, setting):
    subprocess.run(["git", "clone", "--quiet", "--config", setting, str(ROOT), str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A checkout by a git that leaves line ends alone."""
    return cloned(tmp_path_factory.mktemp("plain") / "clone", "core.autocrlf=false")


@pytest.fixture(params=["core.autocrlf=true", "core.autocrlf=input", "core.eol=crlf", "attributes"])
def clone(request, tmp_path):
    setting = request.param
    if setting == "attributes":
        (tmp_path / "attributes").write_text("* text eol=crlf ident working-tree-encoding=UTF-16\n")
        setting = f"core.attributesFile={tmp_path / 'attributes'}"
    return cloned(tmp_path / "clone", setting)


def test_every_file_has_the_bytes_that_were_committed(clone):
    assert git(clone, "status", "--porcelain") == ""
    changed = []
    for line in git(clone, "ls-files", "--stage", "-z").split("\0")[:-1]:
        about, _, name = line.partition("\t")
        content = (clone / name).read_bytes()
        if hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() != about.split()[1]:
            changed.append(name)
    assert changed == []


def test_the_digests_of_the_manifests_are_the_same(clone, plain, monkeypatch):
    def digests(root):
        monkeypatch.setenv("STRUCTGRAD_ROOT", str(root))
        return {scale: manifest.build(scale) for scale in ("paper", "desktop")}

    assert digests(clone) == digests(plain)
    assert "tables/indelman_1a.csv" in digests(clone)["paper"]


def test_text_is_committed_with_lf():
    shown = re.findall(r"^i/(\S+)\s.*\t(.+)$", git(ROOT, "ls-files", "--eol"), re.MULTILINE)
    assert {name for ends, name in shown if ends not in ("lf", "none", "-text")} == set()
