"""Run the workflow as a child process that ends cleanly when this one is told to, and never outlives it unnoticed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Beside the workflow, in its group: should we be killed so that we can tell nobody, our end of the pipe closes.
WATCH = "trap '' INT TERM HUP; read -r _; kill -INT 0"


class StoppedError(Exception):
    """We were told to stop and the child has ended; ``code`` is what a shell expects us to exit with."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


def run(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    keep: Sequence[int] = (),
    started: Callable[[int], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """The exit code of a command that runs in a process group of its own.

    Of its own, so that each process in it hears of Ctrl-C once, from us. The first signal interrupts the group, and the
    child is waited for; a second one kills it.

    Args:
        command: its words.
        folder: where it runs.
        environment: its variables.
        keep: open files that it inherits.
        started: called with its process id.
        say: tells people that it is being stopped.

    Raises:
        StoppedError: a signal came; the child has ended.
    """
    signals: list[int] = []
    passed_on = 0
    child: subprocess.Popen[bytes] | None = None

    def pass_on() -> None:
        nonlocal passed_on
        while child is not None and passed_on < len(signals):
            passed_on += 1
            if passed_on == 1:
                say("stopping; what is finished is kept (once more: at once)")
            _tell(child, signal.SIGINT if passed_on == 1 else signal.SIGKILL)

    def stop(number: int, _: Any) -> None:
        signals.append(number)
        pass_on()

    with _handling(stop):
        child = subprocess.Popen(command, cwd=folder, env=environment, pass_fds=keep, process_group=0)
        with _watched(child):
            started(child.pid)
            pass_on()  # what came before there was a child
            code = child.wait()
            if code < 0:  # it was killed, and its jobs were not
                _tell(child, signal.SIGINT)
    if signals:
        raise StoppedError(signals[0])
    return code


@contextmanager
def _handling(stop: Callable[[int, Any], None]) -> Iterator[None]:
    """``stop`` for the signals that end us; those that are ignored (nohup) stay so, here and not in the child."""
    ignored = {number for number in STOPPING if signal.getsignal(number) == signal.SIG_IGN}
    before = {number: signal.signal(number, (lambda *_: None) if number in ignored else stop) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _watched(child: subprocess.Popen[bytes]) -> Iterator[None]:
    theirs, ours = os.pipe()
    watch = None
    try:
        with suppress(PermissionError, ProcessLookupError):  # it has ended already
            watch = subprocess.Popen(["/bin/sh", "-c", WATCH], stdin=theirs, process_group=child.pid)
        yield
    finally:
        os.close(theirs)
        if watch is not None:
            watch.kill()
            watch.wait()
        os.close(ours)


def _tell(child: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
