"""Rows for a terminal of 80 columns, the same as Markdown, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tools.chaos.experiment import Result

LEGEND = """\
lost, dbl, orph: see tools/chaos/ledger.py. p99: of calls about meetings on other servers, ms,
without > with the fault. rec: seconds until all is served again. RSS in MB and open files of the
larger appliance, before > after. log: lines of both."""
_HEADS = ("fault", "req", "ack", "lost", "dbl", "orph", "p99", "rec", "RSS", "files", "log")
_WIDTHS = (15, 4, 4, 4, 3, 4, 8, 4, 7, 7, 4)


def cells(result: Result) -> tuple[str, ...]:
    """Return the columns of a row as texts."""
    found = result.findings
    return (
        result.name,
        str(result.requests),
        str(result.acknowledged),
        str(len(found.lost)),
        str(len(found.doubled)),
        str(len(found.orphans)),
        f"{result.p99_quiet_ms:.0f}>{result.p99_struck_ms:.0f}",
        f"{result.recovery_s:.1f}",
        f"{result.before.rss_mb:.0f}>{result.after.rss_mb:.0f}",
        f"{result.before.files}>{result.after.files}",
        str(result.log_lines),
    )


def head() -> str:
    """Return the line above the rows."""
    return _line(_HEADS)


def row(result: Result) -> str:
    """Return a row of at most 80 columns; the names of a pair come on two lines."""
    name, *others = cells(result)
    *before, last = name.split("+")
    lines = [f"{one} +" for one in before]
    return "\n".join([*lines, _line((last, *others))])


def _line(columns: Sequence[str]) -> str:
    first, *others = columns
    rest = (text.rjust(width) for text, width in zip(others, _WIDTHS[1:], strict=True))
    return " ".join((first.ljust(_WIDTHS[0]), *rest))


def total(results: Sequence[Result]) -> str:
    """Return the sums."""
    sums = [sum(getattr(one, name) for one in results) for name in ("requests", "acknowledged")]
    kinds = ("lost", "doubled", "orphans")
    found = [sum(len(getattr(one.findings, kind)) for one in results) for kind in kinds]
    texts = ", ".join(f"{count} {kind}" for count, kind in zip(found, kinds, strict=True))
    return f"{len(results)} experiments, {sums[0]} requests, {sums[1]} acknowledged: {texts}"


def markdown(results: Sequence[Result]) -> str:
    """Return the table for docs/reliability.md."""
    lines = [_HEADS, ("---", *["--:"] * (len(_HEADS) - 1)), *map(cells, results)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_json(result: Result) -> dict[str, Any]:
    """Return a row with all findings."""
    found = result.findings
    return {
        "fault": result.name,
        "requests": result.requests,
        "acknowledged": result.acknowledged,
        "lost": found.lost,
        "doubled": found.doubled,
        "orphans": found.orphans,
        "p99_without_ms": round(result.p99_quiet_ms, 1),
        "p99_with_ms": round(result.p99_struck_ms, 1),
        "recovery_s": round(result.recovery_s, 1),
        "rss_mb": [round(result.before.rss_mb), round(result.after.rss_mb)],
        "open_files": [result.before.files, result.after.files],
        "log_lines": result.log_lines,
    }
