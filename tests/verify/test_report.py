"""The sums and the lines of a report."""

from __future__ import annotations

from dbschema.verify import Check, Report


def test_the_rate_is_the_share_of_what_is_so() -> None:
    report = Report(
        "shop", "me", (Check("a", "one", True), Check("a", "two", False, "why"), Check("b", "three", True))
    )

    assert (report.total, report.passed, report.failed) == (3, 2, 1)
    assert round(report.rate, 3) == 0.667
    assert not report.ok
    assert [check.name for check in report.failures] == ["two"]
    assert [check.name for check in report.of("a")] == ["one", "two"]


def test_nothing_checked_is_no_success() -> None:
    report = Report("shop", "me", ())

    assert report.rate == 0.0
    assert not report.ok


def test_a_line_has_a_mark_a_name_and_a_reason() -> None:
    assert str(Check("a", "one", True)) == "✓ one"
    assert str(Check("a", "two", False, "not so")) == "✗ two: not so"
