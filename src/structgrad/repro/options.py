"""Options that several subcommands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from structgrad.repro.planning import overrides
from structgrad.repro.planning.config import parse_overrides
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.progress import speaking

scale_option = click.option("--scale", default=None, help="smoke, desktop or paper (default: what config.yaml says).")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a machine to read.")


def says_how_far(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command that may take long say on stderr how far it is (:mod:`structgrad.repro.progress`)."""

    @functools.wraps(command)
    def with_progress(*args: Any, **kwargs: Any) -> Any:
        with speaking(lines=not kwargs.get("as_json", False)):
            return command(*args, **kwargs)

    return with_progress


def plan_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--scale``, ``--set`` and ``--set-json`` and call ``command`` with the :class:`Plan` that they describe."""

    @scale_option
    @click.option(
        "--set",
        "pairs",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override a key of config.yaml, for example --set replicas=3 (may be repeated).",
    )
    @click.option(
        overrides.OPTION,
        "exact",
        default="{}",
        metavar="JSON",
        help="The same for many keys at once and without YAML's rules, as the hints of other commands say it.",
    )
    @functools.wraps(command)
    def with_plan(*args: Any, scale: str | None, pairs: tuple[str, ...], exact: str, **kwargs: Any) -> Any:
        given = overrides.from_environment() | overrides.parse(exact) | parse_overrides(pairs)
        return command(*args, plan=load_plan(scale, given), **kwargs)

    return with_plan
