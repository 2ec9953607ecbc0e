"""config/freeswitch: files for the gateway and for BigBlueButton servers."""

from __future__ import annotations

import re
from pathlib import Path

from lxml import etree

from appliance.dialin.dialplan import GOODBYE, PromptRules
from appliance.dialin.routes import DIALPLAN_PATHS, USER

FILES = Path(__file__).resolve().parents[2] / "config" / "freeswitch"


def test_gateway_requests_only_dialplans_and_verifies_the_endpoint() -> None:
    tree = etree.parse(FILES / "xml_curl.conf.xml")
    params = {param.get("name"): param for param in tree.iterfind("bindings/binding/param")}
    values = {name: param.get("value", "") for name, param in params.items()}

    assert params["gateway-url"].get("bindings") == "dialplan"
    assert f"/{values['gateway-url'].rpartition('/')[2]}" in DIALPLAN_PATHS
    assert values["gateway-credentials"] == f"{USER}:PASSWORD"
    assert values["auth-scheme"] == "basic"
    assert values["enable-cacert-check"] == values["enable-ssl-verifyhost"] == "true"


def test_dialplan_of_a_server_accepts_only_numbers() -> None:
    tree = etree.parse(FILES / "bbb-dialplan.xml")
    (condition,) = tree.iterfind("extension/condition")
    actions = [(action.get("application"), action.get("data")) for action in condition]

    assert condition.get("field") == "destination_number"
    pattern = re.compile(condition.get("expression", ""))
    assert all(pattern.search(number) for number in ("123", "123456789", "1" * 21))
    assert not any(pattern.search(text) for text in ("", "12", "echo", "1234a", "9196 x", "*98"))
    assert actions == [
        ("set", "bbb_authorized=true"),
        ("transfer", "${destination_number} XML default"),
    ]


def test_gateway_retries_a_number_five_times_while_the_appliance_is_away() -> None:
    tree = etree.parse(FILES / "gateway-retry.xml")
    retry, _ = tree.iterfind("extension")
    conditions = [(one.get("field"), one.get("expression", "")) for one in retry]
    variables = {"pin": "123456789", "scalelite_retries": ""}

    def matches() -> bool:
        values = {**{f"${{{name}}}": value for name, value in variables.items()}}
        values["destination_number"] = variables["pin"]
        return all(re.search(expression, values[field or ""]) for field, expression in conditions)

    assert retry.xpath("condition/action/@data") == [
        "scalelite_retries=${scalelite_retries}1",
        "3000",
        f"${{destination_number}} XML {PromptRules(1, 1, 0).context}",
    ]
    for _ in range(5):
        assert matches()
        variables["scalelite_retries"] += "1"
    assert not matches()
    variables |= {"scalelite_retries": "", "pin": ""}
    assert not matches()  # a call that has just come in


def test_gateway_says_goodbye_while_the_appliance_is_away() -> None:
    tree = etree.parse(FILES / "gateway-retry.xml")
    _, goodbye = tree.iterfind("extension")
    (condition,) = goodbye

    assert re.search(condition.get("expression", ""), GOODBYE)
    assert condition.xpath("action/@application") == ["playback", "hangup"]
