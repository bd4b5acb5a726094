"""Standard streams that are closed or full: one line where there is somebody to tell, and never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.faults
FULL = "structgrad: standard output, or a file: No space left on device\n"
UNKNOWN = "structgrad: unknown command 'lst'; did you mean 'list'?\n"


def shell(line):
    """What a shell's line gives, where ``$us`` is our command."""
    variables = os.environ | {"us": f"{sys.executable} -m structgrad"}
    done = subprocess.run(["sh", "-c", line], env=variables, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("$us --help > /dev/full", 2, FULL),
        ("$us list --json > /dev/full", 2, FULL),
        ("$us lst 2> /dev/full", 2, ""),
        ("$us list > /dev/full 2> /dev/full", 2, ""),
        ("$us list >&-", 0, ""),
        ("$us lst >&-", 2, UNKNOWN),
        ("$us lst 2>&-", 2, ""),
        ("$us list <&- >&- 2>&-", 0, ""),
    ],
)
def test_streams_that_are_closed_or_full(line, code, said):
    assert shell(line) == (code, "", said)


def test_a_listener_that_leaves():
    """As with ``| head``: quietly, and not as a success."""
    code, _, said = shell("{ $us list; echo $? >&2; } | true")
    assert (code, said) == (0, "1\n")


def test_a_closed_stream_is_not_taken_by_a_file():
    """Who opened the number of standard output for a lock would find there what all print."""
    code = "from structgrad.repro.running import streams; streams.settle(); print(open('/dev/zero').fileno(), file=err)"
    line = f"{sys.executable} -c \"import os; err = os.fdopen(os.dup(2), 'w'); {code}\" <&- >&-"
    number = int(shell(line)[2])
    assert number > 2
