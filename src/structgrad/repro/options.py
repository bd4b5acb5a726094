"""Options that several subcommands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from structgrad.repro.config import parse_overrides
from structgrad.repro.plan import load_plan

scale_option = click.option("--scale", default=None, help="smoke, desktop or paper (default: what config.yaml says).")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a machine to read.")


def plan_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--scale`` and ``--set`` and call ``command`` with the :class:`Plan` that they describe."""

    @scale_option
    @click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override a key of config.yaml, for example --set replicas=3 (may be repeated).",
    )
    @functools.wraps(command)
    def with_plan(*args: Any, scale: str | None, overrides: tuple[str, ...], **kwargs: Any) -> Any:
        return command(*args, plan=load_plan(scale, parse_overrides(overrides)), **kwargs)

    return with_plan
