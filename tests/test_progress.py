"""One bar for loads, exports, imports and removals."""

from __future__ import annotations

import io

import pytest

from dbschema import loading
from dbschema._progress import Progress, progress_bar
from dbschema.tools import tenants


class Terminal(io.StringIO):
    """Standard error as a terminal."""

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, term: str = "xterm") -> Terminal:
    """Called within a test, because pytest puts its own standard error in place after the fixtures."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", term)
    return terminal


def test_both_packages_have_the_same_class() -> None:
    assert loading.Progress is tenants.Progress is Progress


def test_the_bar_names_the_table_and_the_phase_and_counts_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    told: list[Progress] = []
    reports = [
        Progress("a [bold]", 1_000, 2_000),
        Progress("b", 5, 9, "sending"),
        Progress("b", 9, None, "done"),
    ]

    with progress_bar(told.append, keep=True) as tell:
        for one in reports:
            tell(one)

    assert told == reports
    assert "b: done" in terminal.getvalue()
    assert "9 rows" in terminal.getvalue()


def test_a_name_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)

    with progress_bar(keep=True) as tell:
        tell(Progress("[bold]t", 1_000, 1_000))

    assert "[bold]t" in terminal.getvalue()
    assert "1,000 rows" in terminal.getvalue()


@pytest.mark.parametrize(("show", "term"), [(False, "xterm"), (True, "dumb")])
def test_nothing_is_drawn_where_nobody_asks_or_the_cursor_cannot_move(
    monkeypatch: pytest.MonkeyPatch, show: bool, term: str
) -> None:
    terminal = on_terminal(monkeypatch, term)
    told: list[Progress] = []

    with progress_bar(told.append, show=show) as tell:
        tell(Progress("t", 1))

    assert told == [Progress("t", 1)]
    assert terminal.getvalue() == ""


def test_nothing_is_drawn_into_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)

    with progress_bar() as tell:
        tell(Progress("t", 1))

    assert file.getvalue() == ""
