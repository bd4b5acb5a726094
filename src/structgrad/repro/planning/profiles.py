"""How to run: the folders of ``workflow/profiles``, and what each says of config.yaml's keys."""

from __future__ import annotations

from typing import Any

from structgrad.errors import UserError
from structgrad.repro.documents import read_yaml
from structgrad.repro.planning.config import parse_overrides
from structgrad.repro.planning.paths import project_root


def check(profile: str) -> None:
    """Refuse a profile that is not there.

    Raises:
        UserError: the line names those that are.
    """
    folder = project_root() / "workflow" / "profiles"
    known = sorted(path.name for path in folder.glob("*") if path.is_dir())
    if profile not in known:
        raise UserError(f"no profile {profile!r} in workflow/profiles; there is {', '.join(known) or 'none'}")


def read(profile: str) -> dict[str, Any]:
    """All that a profile says."""
    files = sorted((project_root() / "workflow" / "profiles" / profile).glob("profile.v*.yaml"))
    return {key: value for file in files for key, value in read_yaml(file).items()}


def settings(profile: str) -> dict[str, Any]:
    """What a profile says of config.yaml's keys."""
    return parse_overrides(read(profile).get("config", ()))
