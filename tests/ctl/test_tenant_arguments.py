"""The command line of tenants: every command with its values, help and examples."""

from __future__ import annotations

import pytest

from appliance.ctl import tenants
from appliance.ctl.arguments import build_parser
from tests.doubles.ctl_usage import check_command


@pytest.mark.parametrize(
    ("words", "run"),
    [
        ("tenants", tenants.list_all),
        ("tenants list", tenants.list_all),
        ("tenants add school s1", tenants.add),
        ("tenants update i --name n", tenants.update),
        ("tenants remove i", tenants.remove),
        ("tenant-settings", tenants.list_settings),
        ("tenant-settings list", tenants.list_settings),
        ("tenant-settings list i", tenants.list_settings),
        ("tenant-settings add i p v true", tenants.add_setting),
        ("tenant-settings remove s", tenants.remove_setting),
    ],
)
def test_command_is_found_and_has_help(
    words: str, run: object, capsys: pytest.CaptureFixture[str]
) -> None:
    check_command(words, run, capsys)


def test_every_field_of_a_tenant_has_its_option() -> None:
    options = [f"--{name.replace('_', '-')}={name}" for name in tenants.FIELDS]

    args = build_parser().parse_args(["tenants", "update", "i", *options])

    assert {name: getattr(args, name) for name in tenants.FIELDS} == {
        name: name for name in tenants.FIELDS
    }
    bare = build_parser().parse_args(["tenants", "update", "i"])
    assert {getattr(bare, name) for name in tenants.FIELDS} == {None}


def test_setting_is_read() -> None:
    words = ["tenant-settings", "add", "t", "welcome", "a, b", "false", "--call", "join"]

    args = build_parser().parse_args(words)

    assert (args.tenant_id, args.param, args.value) == ("t", "welcome", "a, b")
    assert (args.override, args.call) == ("false", "join")
