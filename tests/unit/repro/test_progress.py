"""What a long command says of itself: a line a stage in a log, a bar on a terminal, nothing to a library."""

import pytest

from structgrad.repro.progress import speaking, stage


def work():
    with stage("outer", 2, "parts") as done:
        with stage("inner", 3, "pieces") as piece:
            piece()
        done()


def test_a_library_hears_nothing(capsys):
    work()
    with speaking(lines=False):
        work()
    assert capsys.readouterr() == ("", "")


def test_a_log_has_a_line_a_stage(capsys):
    with speaking():
        work()
    work()
    assert capsys.readouterr() == ("", "outer (2 parts)\ninner (3 pieces)\n")


@pytest.mark.parametrize("lines", [True, False])
def test_a_terminal_has_a_bar_that_goes_away(capsys, monkeypatch, lines):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("structgrad.repro.progress.DELAY", 0)
    with speaking(lines):
        work()
        with stage("without an end"):
            pass
    told = capsys.readouterr()
    assert told.out == ""
    assert "inner 1/3" in told.err
    assert "without an end ..." in told.err
    assert told.err.rpartition("\r")[2].strip() == ""
