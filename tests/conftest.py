"""What a test needs of the machine, and what tests found out about it, which is said at the end."""

from __future__ import annotations

import pytest
import torch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long tests first, so that all workers have work to the end; without a GPU its tests are skipped."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(pytest.mark.skip("there is no GPU here"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Which variables that emulate other processors act here, and which do nothing (``test_machines.py``)."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    said = sorted({value for report in reports for name, value in report.user_properties if name == "emulation"})
    if said:
        terminalreporter.section("emulated machines")
        for line in said:
            terminalreporter.write_line(line)
