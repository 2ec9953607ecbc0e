"""Translation of the rake tasks for tenants to commands of ctl."""

from __future__ import annotations

import pytest

from appliance.ctl.rake_names import MisusedTask, parse_rake

LRS, KC = "https://lrs.example.org/xapi", "https://kc.example.org/token"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tenants[]", "tenants list"),
        ("tenants:showall", "tenants list --brief"),
        ("tenants:add[school,s1]", "tenants add -- school s1"),
        ("tenants:add[school,s1:s2]", "tenants add -- school s1:s2"),
        ("tenants:add[school, s1, s2:s3]", "tenants add -- school s1:s2:s3"),
        ("tenants:update[i,school]", "tenants update --name=school -- i"),
        ("tenants:update[i,,s1,s2]", "tenants update --secrets=s1:s2 -- i"),
        ("tenants:update[i,n,s]", "tenants update --name=n --secrets=s -- i"),
        (
            f"tenants:update_lrs_basic[i,{LRS},u,p]",
            f"tenants update --lrs-endpoint={LRS} --lrs-username=u --lrs-password=p -- i",
        ),
        (
            f"tenants:update_lrs_kc[i,{LRS},{KC},c,cs,u,p]",
            f"tenants update --lrs-endpoint={LRS} --kc-token-url={KC} --kc-client-id=c "
            "--kc-client-secret=cs --kc-username=u --kc-password=p -- i",
        ),
        ("tenants:remove[i]", "tenants remove -- i"),
        ("tenantSettings", "tenant-settings list"),
        ("tenantSettings:add[t,record,true,false]", "tenant-settings add -- t record true false"),
        ("tenantSettings:remove[s]", "tenant-settings remove -- s"),
    ],
)
def test_task_is_translated(text: str, words: str) -> None:
    task = parse_rake([text])

    assert task is not None
    assert list(task.words) == words.split()
    assert task.before == ()


def test_comma_in_a_value_is_escaped() -> None:
    task = parse_rake([r"tenantSettings:add[t,welcome,Hello\, world,true]"])

    assert task is not None
    assert task.words == ("tenant-settings", "add", "--", "t", "welcome", "Hello, world", "true")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tenants:add", "Error: both name and secrets are required to create a Tenant"),
        ("tenants:add[school]", "Error: both name and secrets"),
        ("tenants:add[,s]", "Error: both name and secrets"),
        ("tenants:update[i]", "Error: id and either name or secrets are required to update"),
        ("tenants:update[,n]", "Error: id and either name or secrets are required to update"),
        ("tenants:update_lrs_basic[i,e,u]", "Error: id, LRS_ENDPOINT, LRS_USERNAME, LRS_PASS"),
        ("tenants:update_lrs_kc[i,e,t,c,s,u]", "Error: LRS_ENDPOINT, KC_TOKEN_URL, KC_CLIENT_ID"),
        ("tenants:remove", "Error: id is required"),
        ("tenantSettings:remove[]", "Error: id is required"),
        ("tenantSettings:add[t,p,v]", "Error: tenant_id, param, value and override are required"),
        ("tenantSettings:add[t,p,,true]", "Error: tenant_id, param, value and override"),
        ("tenantSettings:add[t,p,Hello, world,true]", r"Error: write \\, for a comma"),
    ],
)
def test_missing_argument_has_the_message_of_rake(text: str, reason: str) -> None:
    with pytest.raises(MisusedTask, match=f"^{reason}"):
        parse_rake([text])
