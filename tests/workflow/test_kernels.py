"""Kernels are compiled before many jobs need them, and nothing else is left of it."""

from __future__ import annotations

SMALL = ("--set", "arms=[direct]", "--set", "settings=[d=5]")


def test_they_are_compiled_into_the_folder_and_nothing_is_trained(clone, python, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    python("-m", "structgrad", "cluster", "kernels", "indelman_1a", *SMALL)
    compiled = {path.name.partition(".")[0] for path in (tmp_path / "kernels").rglob("*.nbc")}
    assert compiled
    assert not (clone / ".work/smoke").exists()
    assert not (clone / "results/smoke/records").exists()
