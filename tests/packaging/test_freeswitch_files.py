"""config/freeswitch: what operators copy to their gateway and their BBB servers."""

from __future__ import annotations

import re
from pathlib import Path

from lxml import etree

from appliance.dialin.routes import DIALPLAN_PATHS, USER

FILES = Path(__file__).resolve().parents[2] / "config" / "freeswitch"


def test_gateway_asks_the_endpoint_for_dialplans_only_and_checks_whom_it_asks() -> None:
    tree = etree.parse(FILES / "xml_curl.conf.xml")
    params = {param.get("name"): param for param in tree.iterfind("bindings/binding/param")}
    values = {name: param.get("value", "") for name, param in params.items()}

    assert params["gateway-url"].get("bindings") == "dialplan"
    assert f"/{values['gateway-url'].rpartition('/')[2]}" in DIALPLAN_PATHS
    assert values["gateway-credentials"] == f"{USER}:PASSWORD"
    assert values["auth-scheme"] == "basic"
    assert values["enable-cacert-check"] == values["enable-ssl-verifyhost"] == "true"


def test_bbb_server_lets_nothing_but_numbers_into_its_dialplan() -> None:
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
