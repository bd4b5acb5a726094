"""The ``structgrad`` command: one file per subcommand under :mod:`structgrad.repro.commands`, loaded when called."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from structgrad import __version__
from structgrad.errors import UserError, unknown
from structgrad.repro.running import environment, streams
from structgrad.repro.running.supervise import StoppedError

COMMANDS = {
    "list": "the tables, arms, settings and cells that can be reproduced",
    "plan": "what training will cost: hours, jobs, memory and disk, before anything runs",
    "run": "train one arm of one table column and write its record",
    "data": "fetch, make or check the data that the experiments use",
    "tables": "build the tables and figures from the records",
    "summary": "what became of every number that the papers print",
    "claims": "test the papers' sentences against the cells",
    "explain": "where one number comes from",
    "factors": "which unstated choices a printed column is compatible with",
    "tracking": "fill the MLflow store from the records",
    "report": "write the report, the research-object metadata and the manifest",
    "audit": "check that every number is what it claims to be",
    "attest": "train records anew and write what that found as a statement",
    "merge": "what other machines' statements and records say of those here",
    "cluster": "say how this Slurm cluster wants to be asked",
    "doctor": "check this machine and say what to mend",
    "reproduce": "everything: train what is missing, then tables, tracking, report",
}


class LazyGroup(click.Group):
    """A group that imports a subcommand only when it is called, so ``--help`` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        if cmd_name not in COMMANDS:
            raise unknown("command", cmd_name, COMMANDS)
        return import_module(f"structgrad.repro.commands.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Reproduce three papers on learning through a discrete argmax, cell by cell.

    Start with `structgrad list`, then `structgrad reproduce` (or `make reproduce`, which also sets up).
    Every command takes --help. Exit codes: 0 success, 1 a check did not hold (audit, run --compare), 2 a mistake in
    what was asked (one line says which), 75 the time budget ran out and a checkpoint waits (run again to go on),
    128 + n stopped by signal n.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and turn a :class:`UserError`, and what a machine refuses, into one line and exit code 2."""
    from structgrad.repro.planning.program import typed

    environment.settle()
    try:
        cli.main(args=arguments, prog_name="structgrad", standalone_mode=False)
    except UserError as error:
        click.echo(f"structgrad: {typed(str(error))}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        click.echo(f"structgrad: {error.format_message()}", err=True)
        sys.exit(2)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except StoppedError as error:
        click.echo("structgrad: stopped; what is finished is kept: run again to go on", err=True)
        sys.exit(error.code)
    except OSError as error:
        refused = streams.refusal(error)
        if refused is None:
            raise
        streams.drop_output()
        click.echo(f"structgrad: {refused}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("structgrad: stopped", err=True)
        sys.exit(130)
