"""benchmarks/lists.py: the table."""

from __future__ import annotations

from benchmarks.lists import Figures, render


def test_table_has_a_row_for_each_pool() -> None:
    found = Figures(
        *(3, 50, 12.34, 20.0, 1.5, 240.0, 900.0, 0.61, 0.061, 0.125),
        *(10_002.0, 1003.4, 1010.0, 80.0, 0),
    )

    lines = render([found]).splitlines()

    assert len(lines) == 3
    assert lines[2].split() == [
        *("3", "50", "240", "12.3", "20.0", "1.50", "900", "0.61", "10.0", "0.12"),
        *("10002", "1003.4", "1010.0", "80", "0"),
    ]
