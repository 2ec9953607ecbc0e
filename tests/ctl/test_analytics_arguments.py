"""The command line of `ctl analytics`."""

from __future__ import annotations

import pytest

from appliance.callbacks import admin_analytics_schema
from appliance.ctl.analytics_arguments import DEFAULT_LIMIT, MAX_LIMIT
from appliance.ctl.arguments import build_parser


def test_analytics_alone_lists() -> None:
    for words in (["analytics"], ["analytics", "list"]):
        args = build_parser().parse_args(words)
        assert (args.run.__name__, args.limit) == ("list_all", DEFAULT_LIMIT)


@pytest.mark.parametrize("limit", ["0", "-1", "x", "10001", "1.5"])
def test_bad_limit_is_refused(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(["analytics", "list", "--limit", limit])
    assert ended.value.code == 2
    assert "is not a whole number from 1 to 10000" in capsys.readouterr().err


def test_limits_are_those_of_the_call() -> None:
    schema = admin_analytics_schema
    assert (DEFAULT_LIMIT, MAX_LIMIT) == (schema.DEFAULT_LIMIT, schema.MAX_LIMIT)
