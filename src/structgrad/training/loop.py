"""The loop around a batch of replicas: step, drop the finished, checkpoint, mind the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from structgrad.training.checkpoint import Checkpoint
from structgrad.training.trainee import Trainee


class OutOfTimeError(Exception):
    """The time budget ran out; the state is in the checkpoint."""


@dataclass(frozen=True)
class Limits:
    """When to save and when to hand back, in seconds."""

    checkpoint_every: float = 60.0
    budget: float | None = None


def train(
    trainee: Trainee,
    checkpoint: Checkpoint,
    limits: Limits,
    show: Callable[[int, int, dict[str, float]], None],
) -> tuple[int, float]:
    """Train until no replica is active.

    Returns how often the job had been resumed before, and the seconds that it had trained before this run.

    Args:
        trainee: the batch; restored from the checkpoint where there is one.
        checkpoint: where the state is kept while the job is not done.
        limits: the checkpoint interval and the time budget.
        show: called after each step with the step's number, the active replicas, and numbers to show.

    Raises:
        OutOfTimeError: the budget ran out; a rerun goes on from the checkpoint.
        UnusableStateError: what the checkpoint holds is no state of this trainee, which is then of no more use.
    """
    steps = resumed = 0
    before = 0.0
    saved = checkpoint.load()
    if saved is not None:
        try:
            trainee.restore(saved["trainee"])
            steps, resumed, before = saved["steps"], saved["resumed"] + 1, saved["seconds"]
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            if isinstance(error, torch.cuda.OutOfMemoryError):  # not the state's fault
                raise
            raise checkpoint.set_aside() from error
    started = last_saved = time.monotonic()

    stepping = False

    def save() -> None:
        seconds = before + time.monotonic() - started
        checkpoint.save({"trainee": trainee.state(), "steps": steps, "resumed": resumed, "seconds": seconds})

    try:
        while trainee.active():
            stepping = True
            done, numbers = trainee.step()
            steps += 1
            if bool(done.any()):
                trainee.finish(done)
            stepping = False
            show(steps, trainee.active(), numbers)
            now = time.monotonic()
            if limits.budget is not None and now - started > limits.budget and trainee.active():
                raise OutOfTimeError
            if now - last_saved > limits.checkpoint_every:
                save()
                last_saved = now
    except (OutOfTimeError, KeyboardInterrupt):
        if not stepping:  # a step half done is not saved: its noise is drawn, its update is not
            save()
        raise
    return resumed, before
