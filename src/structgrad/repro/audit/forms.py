"""Checks of what the files are, before anybody reads them: regular files, of which none hides another."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from structgrad.repro.audit.scene import Finding, Scene
from structgrad.repro.report import manifest

KINDS = {
    stat.S_IFLNK: "a symbolic link, which is not followed",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
STRANGE = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX  # of a file; folders of a group have some of them


def files_are_plain(scene: Scene) -> Iterator[Finding]:
    """every file is a regular one that can be read: no link, pipe, device or folder in its place"""
    linked = 0
    for path in _everything(scene.folder):
        mode = path.lstat().st_mode
        kind = stat.S_IFMT(mode)
        if kind in KINDS:
            yield Finding(scene.name(path), KINDS[kind])
        elif not os.access(path, os.R_OK | (os.X_OK if kind == stat.S_IFDIR else 0)):
            yield Finding(scene.name(path), f"cannot be read (mode {stat.filemode(mode)})")
        elif kind == stat.S_IFREG and mode & STRANGE:
            yield Finding(scene.name(path), f"a strange mode for a file ({stat.filemode(mode)})")
        elif kind == stat.S_IFREG and path.lstat().st_nlink > 1:
            linked += 1
    for name in manifest.names(scene.plan.scale):
        if (scene.folder / name).is_dir():
            yield Finding(scene.name(scene.folder / name), "a folder in a file's place")
    if linked:
        told = f"{linked} files have a second name somewhere (hard links): whoever writes there changes them here"
        scene.notes.append(Finding("", told))


def _everything(folder: Path) -> Iterator[Path]:
    """All below a folder, in order, but for MLflow's own; no link is followed."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if Path(root, name) != folder / manifest.STORE_FILES)
        yield from sorted(Path(root, name) for name in (*folders, *files))
