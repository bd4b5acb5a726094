"""What tests found out about the machine is said at the end."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which variables that emulate other processors act here, and which do nothing (``test_machines.py``)."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    said = sorted({value for report in reports for name, value in report.user_properties if name == "emulation"})
    if said:
        terminalreporter.section("emulated machines")
        for line in said:
            terminalreporter.write_line(line)
