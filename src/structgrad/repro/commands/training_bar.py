"""How far a training is, while it trains."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import click

from structgrad.experiments import Experiment


class TrainingBar:
    """On a terminal a bar of the experiment's clock, epochs or steps, of the replica that trains longest; a search's
    trials train one after the other, so it counts the steps of all. Elsewhere a line every so many seconds, so that
    logs stay short. The shard's own log has these lines in any case.
    """

    def __init__(
        self,
        name: str,
        replicas: int,
        experiment: Experiment,
        every: float = 30.0,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        from tqdm import tqdm

        self.name, self.replicas, self.every, self.log = name, replicas, every, log
        self.clock = "step" if experiment.clock == "call" else experiment.clock  # a step is many calls
        self.unit = "trial" if experiment.selected_by else "replica"
        self.quiet = not sys.stderr.isatty()
        self.total: int | None = None
        self.bar = tqdm(desc=name, unit=f" {self.clock}s", disable=self.quiet, dynamic_ncols=True)
        self.last_line = time.monotonic()

    def expects(self, steps: int) -> None:
        """Take ``steps`` for the end of the bar: a replica may be done before."""
        self.total = self.bar.total = steps

    def __call__(self, step: int, active: int, numbers: dict[str, float]) -> None:
        """Show that ``active`` replicas still train after ``step`` ticks of the clock."""
        shown = {key: f"{value:.3g}" for key, value in numbers.items()}
        training = f"{active} of {self.replicas} {self.unit}s train"
        self.bar.set_postfix_str(", ".join([training, *(f"{key} {value}" for key, value in shown.items())]), False)
        if self.bar.n == 0:
            self.bar.initial = self.bar.n = step - 1  # of a checkpoint; its time is not this run's
        self.bar.update(step - self.bar.n)
        if time.monotonic() - self.last_line > self.every:
            self.last_line = time.monotonic()
            at = f"{self.clock} {step}" + (f" of {self.total}" if self.total else "")
            text = ", ".join(f"{key} {value}" for key, value in shown.items())
            self.log(f"{at}, {training}, {text}")
            if self.quiet:
                click.echo(f"{self.name}: {at}, {training}, {text}", err=True)

    def close(self) -> None:
        """Finish the bar."""
        self.bar.close()
