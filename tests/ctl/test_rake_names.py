"""Translation of rake tasks to commands of ctl."""

from __future__ import annotations

import pytest

from appliance.ctl.rake_names import MisusedTask, NotRake, parse_rake

URL = "https://bbb1.example.com/bigbluebutton/api"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"servers:add[{URL},secret]", f"servers add -- {URL} secret"),
        (f"servers:add[{URL},secret,2.0]", f"servers add --load-multiplier=2.0 -- {URL} secret"),
        (
            f"servers:add[{URL}, secret, 2.0, gpu]",
            f"servers add --load-multiplier=2.0 --tag=gpu -- {URL} secret",
        ),
        (f"servers:add[{URL},secret,,gpu]", f"servers add --tag=gpu -- {URL} secret"),
        (f"servers:add[{URL},secret,x]", f"servers add --load-multiplier=1 -- {URL} secret"),
        ("servers:update[i,s]", "servers update --secret=s -- i"),
        ("servers:update[i,,3]", "servers update --load-multiplier=3 -- i"),
        ("servers:update[i,s,3,]", "servers update --secret=s --load-multiplier=3 --tag= -- i"),
        ("servers:remove[i]", "servers remove -- i"),
        ("servers:enable[i]", "servers enable -- i"),
        ("servers:cordon[i]", "servers cordon -- i"),
        ("servers:disable[i]", "servers disable -- i"),
        ("servers:panic[i]", "servers panic -- i"),
        ("servers:panic[i,true]", "servers panic --keep-state -- i"),
        ("servers:panic[i,false,true]", "servers panic --skip-end-calls -- i"),
        ("servers:loadMultiplier[i,2.5]", "servers load-multiplier -- i 2.5"),
        ("servers:loadMultiplier[i,0]", "servers load-multiplier -- i 1"),
        ("servers:tag[i,gpu]", "servers tag -- i gpu"),
        ("servers:sync[/f.yml]", "servers sync -- /f.yml"),
        ("servers:sync[-,force]", "servers sync --mode=force -- -"),
        ("servers:sync[f,keep,true]", "servers sync --mode=keep --dry-run -- f"),
        ("servers:sync[f,,No]", "servers sync -- f"),
        ("servers:yaml", "servers export"),
        ("servers:yaml[false]", "servers export --verbose"),
        ("servers:addAll[f]", "servers add-all -- f"),
        ("servers:meeting_list", "servers meetings --"),
        ("servers:meeting_list[a:b]", "servers meetings -- a b"),
        ("meetings:list", "meetings list --"),
        ("meetings[a:b]", "meetings list -- a b"),
        ("meetings:info[a]", "meetings info -- a"),
        ("meetings:end[a:b]", "meetings end -- a b"),
        ("meetings:end", "meetings end --"),
        ("recordings:update", "recordings update"),
        ("recordings:addToTenant[t]", "recordings add-to-tenant -- t"),
        ("poll:all", "poll all"),
        ("poll:versions", "poll versions"),
    ],
)
def test_task_is_translated(text: str, words: str) -> None:
    task = parse_rake([text])

    assert task is not None
    assert list(task.words) == words.split()


def test_empty_tag_is_kept() -> None:
    task = parse_rake(["servers:tag[i,]"])

    assert task is not None
    assert task.words == ("servers", "tag", "--", "i", "")


def test_missing_multiplier_is_1_without_a_warning() -> None:
    task = parse_rake(["servers:loadMultiplier[i]"])

    assert task is not None
    assert (task.words, task.before) == (("servers", "load-multiplier", "--", "i", "1"), ())


def test_lines_that_rake_prints_first_are_returned() -> None:
    task = parse_rake(["servers:update[i,s,0]"])

    assert task is not None
    assert task.server_id == "i"
    assert task.before == (
        "Updating server i...",
        "WARNING! Load-multiplier was not readable or 0, so it is now 1",
    )


@pytest.mark.parametrize(
    "words", [[], ["servers"], ["status"], ["servers", "list"], ["meetings", "end", "a:b"]]
)
def test_command_of_ctl_is_not_a_task(words: list[str]) -> None:
    assert parse_rake(words) is None


@pytest.mark.parametrize(
    "text",
    [
        *("servers:nothing", "tenants:nothing[a,b]", "x[", "servers:add[", ":", "poll:x", "[]"),
    ],
)
def test_unknown_task_is_a_usage_error(text: str) -> None:
    with pytest.raises(NotRake) as refused:
        parse_rake([text])

    assert not isinstance(refused.value, MisusedTask)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("servers:add", "Error: Please input at least a URL and a secret!"),
        (f"servers:add[{URL}]", "Error: Please input at least a URL and a secret!"),
        ("servers:add[,s]", "Error: Please input at least a URL and a secret!"),
        ("servers:add[bbb1,s]", "Error: Server URL must start with http:// or https://"),
        (f"servers:add[{URL},s,-1]", "ERROR: the load multiplier must be a number greater than 0"),
        ("servers:update[i,,-1]", "ERROR: the load multiplier must be a number greater than 0"),
        ("servers:enable", "ERROR: servers:enable needs its arguments: 'servers:enable[id]'"),
        ("servers:tag[]", "ERROR: servers:tag needs its arguments: 'servers:tag[id,tag]'"),
        ("servers:sync", "ERROR: Missing 'path' parameter"),
        ("servers:sync[f,x]", "ERROR: Unknown sync mode 'x' (choose: keep cordon force)"),
        ("meetings:info", "Error: Please input a meetingID!"),
    ],
)
def test_missing_or_invalid_argument_has_the_message_of_rake(text: str, line: str) -> None:
    with pytest.raises(MisusedTask) as refused:
        parse_rake([text])

    assert str(refused.value) == line


def test_unneeded_task_is_refused_with_the_reason() -> None:
    with pytest.raises(NotRake, match="the running appliance watches the spool"):
        parse_rake(["recordings:watch[true,5]"])
