"""`ctl meetings [list|info|end]` and `ctl servers meetings`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.arguments import Commands, add_command, add_group
from appliance.ctl.client import LONG_S, ControlClient
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED
from appliance.ctl.names import takes_names
from appliance.ctl.progress import waiting
from appliance.ctl.tables import Column

_RAKE_METADATA = (
    *("bbb-context-name", "analytics-callback-url", "bbb-recording-tags"),
    *("bbb-origin-server-common-name", "bbb-context-label", "bbb-origin", "bbb-context"),
    *("bbb-context-id", "bbb-recording-name", "bbb-origin-server-name"),
    *("bbb-recording-description", "bbb-origin-tag"),
)
"""The metadata that rake shows, also if it is missing."""
_MEETINGS = "only these meetings: ids, or their beginnings"
_COLUMNS = (
    Column("MEETING ID", whole=True),
    Column("SERVER ID"),
    Column("SERVER URL", drop=1),
    Column("STATUS"),
)


def add_meetings(commands: Commands[Any]) -> None:
    """Add the group `meetings`."""
    group = add_group(commands, "meetings", "manage the meetings", list_blocks, ids=[])
    about = "show meetings and their servers"
    command = add_command(group, "list", list_table, about, "meetings list physics-101")
    command.add_argument("ids", metavar="ID", nargs="*", help=_MEETINGS)
    takes_names(command, "meeting", "ids")
    about = "show the details of a meeting, from its server"
    command = add_command(group, "info", show, about, "meetings info physics-101")
    command.add_argument("id", metavar="ID", help="meetingID of the front-end, or its beginning")
    takes_names(command, "meeting", "id")
    about = "end meetings; without ids ALL of them, after a confirmation"
    command = add_command(group, "end", end, about, "meetings end --yes physics-101")
    command.add_argument("ids", metavar="ID", nargs="*", help=_MEETINGS)
    takes_names(command, "meeting", "ids")
    command.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def add_server_meetings(servers: Commands[Any]) -> None:
    """Add `meetings` to the group `servers`."""
    about = "show the meetings that servers report, including unknown ones"
    example = "servers meetings bbb1.example.com"
    command = add_command(servers, "meetings", list_on_servers, about, example)
    about = "only these servers: ids, hosts, or their beginnings"
    command.add_argument("ids", metavar="ID", nargs="*", help=about)
    takes_names(command, "server", "ids")


def list_table(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show meetings in a table."""
    if console.rake:
        return list_blocks(console, client, args)
    answer = _find(client, args)
    if console.as_json:
        console.document(answer["meetings"])
    else:
        rows = [
            (
                meeting["id"],
                meeting["server_id"],
                meeting["server_url"],
                "online" if meeting["reachable"] else "offline",
            )
            for meeting in answer["meetings"]
        ]
        console.table(_COLUMNS, rows)
    return _report_unknown(console, answer, args)


def list_blocks(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show meetings as `rake meetings` does."""
    answer = _find(client, args)
    if console.as_json:
        console.document(answer["meetings"])
    for meeting in [] if console.as_json else answer["meetings"]:
        console.show(f"\nMeetingID: {meeting['id']}")
        console.show(f"\tServer ID: {meeting['server_id']}")
        console.show(f"\tServer Url: {meeting['server_url']}")
    return _report_unknown(console, answer, args)


def _find(client: ControlClient, args: Namespace) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = client.post("listMeetings", {"ids": args.ids}, deadline_s=LONG_S)
    return answer


def _report_unknown(console: Console, answer: Mapping[str, Any], args: Namespace) -> int:
    for meeting_id in answer["unknown"]:
        console.error(f"no meeting with id {meeting_id}{getattr(args, 'hint', '')}")
    return FAILED if answer["unknown"] else DONE


def show(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show a meeting as `rake meetings:info` does, with all its metadata."""
    meeting = client.get_long("getMeetingInfo", id=args.id)
    if console.as_json:
        console.document(meeting)
        return DONE
    recording = "true" if meeting["recording"] else "false"
    if console.rake:
        console.line()
    console.show(f"Meeting ID: {meeting['id']}")
    console.show(f"\tMeeting Name: {meeting['name']}")
    console.show(f"\tInternal MeetingID: {meeting['internal_id']}")
    console.show(f"\tCreated Date: {meeting['created']}")
    console.show(f"\tRecording Enabled: {recording}")
    console.show(f"\tServer id: {meeting['server_id']}")
    # rake prints this misspelling, and scripts may rely on it.
    word = "Serevr" if console.rake else "Server"
    console.show(f"\t{word} url: {meeting['server_url']}")
    if not console.rake:
        console.show(f"\tUsers: {meeting['participants']}, {meeting['moderators']} moderators")
        console.show(f"\tVoice bridge: {meeting['voice_bridge']}")
    console.show("\tMetaData:")
    metadata: Mapping[str, str] = meeting["metadata"]
    for name in _RAKE_METADATA if console.rake else metadata:
        console.show(f"\t\t{name}: {metadata.get(name, '')}")
    return DONE


def end(console: Console, client: ControlClient, args: Namespace) -> int:
    """End meetings, after a confirmation."""
    if not args.yes and not _confirm_end(console, args.ids):
        return FAILED
    body = {"ids": args.ids} if args.ids else {"all": True}
    with waiting(console, "ending the meetings"):
        answer = client.post("endMeetings", body, deadline_s=LONG_S)
    failed = _report_ended(console, answer, args)
    if console.rake and not answer["unknown"]:
        console.line("OK")
    return FAILED if answer["unknown"] or failed else DONE


def _confirm_end(console: Console, ids: list[str]) -> bool:
    if console.rake:
        console.line("WARNING: You are trying to clear active meetings.")
        console.line("If you still wish to continue please enter `yes`")
        console.out.flush()
        agreed = console.read_yes()
    else:
        what = f"{len(ids)} meeting{'s' if len(ids) > 1 else ''}" if ids else "ALL meetings"
        if not console.can_ask():
            console.error(f"ending {what} requires a confirmation; confirm with --yes")
            return False
        agreed = console.ask(f"This ends {what} for all participants.")
    if not agreed:
        console.error("no meeting was ended")
    return agreed


def _report_ended(console: Console, answer: Mapping[str, Any], args: Namespace) -> int:
    """Show the result for each meeting; return the number of failures."""
    ended = answer["meetings"]
    failed = [meeting for meeting in ended if meeting["outcome"] == "failed"]
    if console.as_json:
        console.document(answer)
    elif not ended and not answer["unknown"]:
        console.error("No meetings to clear")
    for meeting in [] if console.as_json else ended:
        if meeting["outcome"] != "failed":
            console.show(f"Clearing Meeting id={meeting['id']}")
    for meeting in failed:
        console.error(f"WARNING: Could not end meeting id={meeting['id']}: {meeting['reason']}")
    _report_unknown(console, answer, args)
    return len(failed)


def list_on_servers(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show the meetings on servers as `rake servers:meeting_list` does."""
    with waiting(console, "asking the servers"):
        found = client.post("getServerMeetings", {"ids": args.ids}, deadline_s=LONG_S)
    if console.as_json:
        console.document(found)
    for server in [] if console.as_json else found:
        _show_server(console, server)
    failed = [server for server in found if server["failure"]]
    for server in failed:
        console.error(f"Failed to get server id={server['id']} status: {server['failure']}")
    return FAILED if failed else DONE


def _show_server(console: Console, server: Mapping[str, Any]) -> None:
    console.show(f"\nServer ID: {server['id']}")
    console.show(f"Server Url: {server['url']}")
    if server["failure"]:
        return
    console.show("MeetingIDs: ")
    for meeting in server["meetings"]:
        console.show(f"\t{meeting['id']}")
    if not server["meetings"]:
        console.show("\tNo meetings to display")
