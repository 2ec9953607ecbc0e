"""The command line: every command is there, with help and examples, and nothing is guessed."""

from __future__ import annotations

import pytest

from appliance.ctl import local, meetings, polling, server_states, servers, simulate, status
from appliance.ctl.arguments import build_parser
from tests.doubles.ctl_usage import check_command, check_refusal


@pytest.mark.parametrize(
    ("words", "run"),
    [
        ("servers", servers.list_all),
        ("servers list", servers.list_all),
        ("servers add https://x/api s", servers.add),
        ("servers update i --tag t", servers.update),
        ("servers load-multiplier i 2", servers.set_multiplier),
        ("servers tag i t", servers.set_tag),
        ("servers remove i", servers.remove),
        ("servers enable i", server_states.enable),
        ("servers cordon i", server_states.cordon),
        ("servers disable i", server_states.disable),
        ("servers panic i", server_states.panic),
        ("servers drain i", server_states.drain),
        ("servers meetings", meetings.list_on_servers),
        ("status", status.show),
        ("meetings", meetings.list_blocks),
        ("meetings list", meetings.list_table),
        ("meetings info m", meetings.show),
        ("meetings end", meetings.end),
        ("poll", polling.poll),
        ("config check", local.check_configuration),
        ("secret generate", local.generate_secret),
        ("database migrate", local.migrate_database),
        ("version", local.show_version),
        ("simulate t.csv --servers 3", simulate.simulate),
    ],
)
def test_command_is_found_and_has_help(
    words: str, run: object, capsys: pytest.CaptureFixture[str]
) -> None:
    check_command(words, run, capsys)


@pytest.mark.parametrize(
    "words", ["--json servers list", "servers --json list", "servers list --json"]
)
def test_json_may_stand_anywhere(words: str) -> None:
    assert build_parser().parse_args(words.split()).json is True


def test_values_are_read() -> None:
    options = "--load-multiplier 2.5 --tag t --max-meetings 3 --max-users 0 --id one --enable"

    args = build_parser().parse_args(f"servers add https://x/api s {options}".split())

    assert (args.load_multiplier, args.tag, args.max_meetings, args.max_users) == (2.5, "t", 3, 0)
    assert (args.id, args.enable) == ("one", True)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "nothing",
        "servers nothing",
        "servers add",
        "servers add https://x/api",
        "servers add https://x/api s --load-multiplier 0",
        "servers add https://x/api s --load-multiplier -2",
        "servers add https://x/api s --load-multiplier nan",
        "servers add https://x/api s --load-multiplier much",
        "servers add https://x/api s --max-users -1",
        "servers add https://x/api s --max-users 1.5",
        "servers enable",
        "servers enable a b",
        "servers list --js",
        "servers disable i --y",
        "poll everything",
        "status --interval 0",
        "config",
        "tenants nothing",
        "tenants add school",
        "tenants update",
        "tenant-settings add t p v yes",
        "tenant-settings add t p v true --call end",
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refusal(words, capsys)
