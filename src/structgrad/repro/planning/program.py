"""How this command line can be typed where it was started: hints must work when they are pasted."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from shlex import join, quote

from structgrad.repro.planning import overrides
from structgrad.repro.planning.plan import Plan

# `structgrad` before one of its subcommands, not in a path or a module's name.
NAMES = (
    "list|plan|run|data|tables|summary|claims|explain|factors|tracking|report|"
    "audit|attest|merge|cluster|doctor|reproduce"
)
SPOKEN = rf"(?<![\w/.\-])structgrad (?=(?:{NAMES})\b)"


def program() -> str:
    """``structgrad`` where a shell finds it, else its path (from here, where it lies below), else Python's module."""
    script = Path(sys.executable).with_name("structgrad")
    on_path = shutil.which("structgrad")
    if on_path and Path(on_path).resolve() == script.resolve():
        return "structgrad"
    if not script.is_file():
        return f"{quote(sys.executable)} -m structgrad"
    here = Path.cwd()
    return quote(str(script.relative_to(here) if script.is_relative_to(here) else script))


def typed(text: str) -> str:
    """A text in which every ``structgrad <subcommand>`` can be typed as it stands."""
    return re.sub(SPOKEN, lambda _: f"{program()} ", text)


def command_line(plan: Plan, *words: str) -> str:
    """A subcommand with its words at the plan's scale and configuration, to paste into a shell."""
    changed = {key: value for key, value in overrides.differing(plan.config).items() if key != "scale"}
    return f"{program()} {join([*words, '--scale', plan.scale, *overrides.words(changed)])}"
