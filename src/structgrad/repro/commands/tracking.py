"""``structgrad tracking``: the MLflow store, filled from the records."""

from __future__ import annotations

import json
import os
import sys

import click

from structgrad.errors import UserError
from structgrad.repro.options import json_option, plan_options, says_how_far
from structgrad.repro.planning.plan import Plan


@click.group()
def command() -> None:
    """Fill the MLflow store from the records, and look at it.

    The store is results/<scale>/mlflow.db, or the server that `tracking` in config.yaml names. It is derived:
    delete it whenever you like, `structgrad tracking rebuild` makes the same runs again.
    """


@command.command()
@plan_options
@json_option
@says_how_far
def ingest(plan: Plan, as_json: bool) -> None:
    """Add the records that the store does not have yet; replace the runs of those that changed.

    Example: structgrad tracking ingest --scale smoke
    """
    from structgrad.repro.tracking import ingestion as tracking

    _tell(tracking.ingest(plan), plan, as_json)


@command.command()
@plan_options
@json_option
@says_how_far
def rebuild(plan: Plan, as_json: bool) -> None:
    """Delete the scale's runs and fill the store again from the records.

    Example: structgrad tracking rebuild --scale paper
    """
    from structgrad.repro.tracking import ingestion as tracking

    _tell(tracking.rebuild(plan), plan, as_json)


@command.command()
@plan_options
@json_option
@says_how_far
def status(plan: Plan, as_json: bool) -> None:
    """Say where the store is and how many of the records it shows.

    Example: structgrad tracking status --scale smoke
    """
    from structgrad.repro.tracking import ingestion as tracking

    state = tracking.status(plan)
    if as_json:
        click.echo(json.dumps(state))
        return
    click.echo(f"{state['address']}: {state['current']} of {state['records']} records, {state['runs']} runs")
    if state["current"] < state["records"]:
        click.echo(f"run: structgrad tracking ingest --scale {plan.scale}")


@command.command()
@plan_options
@click.option("--port", default=5000, show_default=True, type=click.IntRange(1, 65535), help="Where it listens.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address it binds; this machine only.")
def ui(plan: Plan, port: int, host: str) -> None:
    """Open the store in MLflow's own pages; stop with Ctrl-C.

    Example: structgrad tracking ui --scale smoke --port 5001
    """
    from structgrad.repro.tracking import mlflow_store

    if plan.config["tracking"] != "sqlite":
        click.echo(f"the runs are at {plan.config['tracking']}")
        return
    if not mlflow_store.database(plan).is_file():
        raise UserError(f"no store at scale {plan.scale} yet; run: structgrad tracking ingest --scale {plan.scale}")
    _check_free(host, port)
    mlflow_store.prepare()
    click.echo(f"MLflow: http://{host}:{port} (Ctrl-C stops it)")
    artefacts = mlflow_store.artifacts(plan).as_uri()
    words = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", mlflow_store.address(plan), "--default-artifact-root", artefacts]
    sys.stdout.flush()
    os.execv(sys.executable, words)  # in our place, so that whatever stops us stops the server


def _check_free(host: str, port: int) -> None:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(f"port {port} of {host} is taken; choose another with --port") from error


def _tell(ingested: object, plan: Plan, as_json: bool) -> None:
    from structgrad.repro.tracking.mlflow_store import address

    if as_json:
        click.echo(json.dumps({"address": address(plan), **vars(ingested)}))
        return
    click.echo(f"{address(plan)}: {ingested}")
