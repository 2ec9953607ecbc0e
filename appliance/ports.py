"""What the operations need of the world, as Protocols; adapters implement them.

Every method of the store raises StoreDown, every call to a server one of core.faults.BbbError.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from appliance.bbb.meeting_list import MeetingList
from appliance.bbb.params import Params
from appliance.bbb.request_body import RequestBody
from appliance.bbb.xml import Answer
from appliance.callbacks.ended_rules import EndedCall, EndedMeeting, Run
from appliance.dialin.dialplan import PinLookup
from appliance.model import (
    FailureResult,
    Meeting,
    MeetingId,
    Observation,
    ObservationResult,
    Placement,
    PlacementRequest,
    PollStart,
    Server,
    ServerChange,
    ServerId,
    ServerState,
    Target,
    Tenant,
    TenantId,
)


class MeetingStore(Protocol):
    """The meetings of the pool. One round trip a method."""

    async def find_meeting(self, meeting_id: MeetingId, *, now_ms: int) -> Meeting | None:
        """Return the record kept under an id."""

    async def find_meeting_of(
        self, tenant_id: TenantId | None, meeting_id: MeetingId, *, now_ms: int
    ) -> Meeting | None:
        """Return the record of a tenant's meeting by its front-end's id."""

    async def join_meeting(
        self, meeting_id: MeetingId, tenant_id: TenantId | None, *, now_ms: int
    ) -> Meeting | None:
        """Count one user in and return the record."""

    async def place_meeting(self, request: PlacementRequest) -> Placement:
        """Find the meeting or choose a server for it."""

    async def confirm_meeting(
        self,
        meeting: Meeting,
        *,
        now_ms: int,
        run: Run | None = None,
        began: bool = True,
        created: str | None = None,
    ) -> bool:
        """Record that its server created it, and whether this create began the run."""

    async def extend_creating(self, meeting: Meeting, *, until_ms: int) -> bool:
        """Keep it from being taken for dead while its create is under way."""

    async def abandon_meeting(self, meeting: Meeting, *, now_ms: int, may_exist: bool) -> bool:
        """Undo an unconfirmed placement."""

    async def forget_meeting(
        self, meeting: Meeting, *, now_ms: int, even_if_creating: bool = False
    ) -> bool:
        """Forget a meeting that its server does not have."""

    async def list_meetings(self) -> list[Meeting]:
        """Return all records."""


class ServerStore(Protocol):
    """The servers of the pool and what polls find."""

    async def list_servers(self, *, in_background: bool = False) -> list[Server]:
        """Return all servers; `in_background` keeps a long list out of the way of API calls."""

    async def find_server(self, server_id: ServerId) -> Server | None:
        """Return one server."""

    async def add_server(self, server_id: ServerId, change: ServerChange) -> bool:
        """Add a server, disabled and offline."""

    async def update_server(self, server_id: ServerId, change: ServerChange) -> bool:
        """Change a server."""

    async def set_server_state(self, server_id: ServerId, state: ServerState) -> ServerState | None:
        """Set a server's state; return the one before."""

    async def remove_server(self, server_id: ServerId, *, force: bool) -> int | None:
        """Remove a server; return None if done, the number of its meetings if refused, or -1."""

    async def clear_server(
        self, server_id: ServerId, *, now_ms: int, to_be_ended: bool
    ) -> list[tuple[MeetingId, str]] | None:
        """Forget all meetings of a server; return (id, moderator password) of each."""

    async def suspect_server(self, server_id: ServerId, *, silent: bool = False) -> bool:
        """Note that a call failed or was not answered, so that new meetings go elsewhere."""

    async def begin_poll(self, server_id: ServerId) -> PollStart | None:
        """Return what a poll needs to know."""

    async def expected_sizes(self, meeting_ids: Sequence[str]) -> dict[str, int]:
        """Return reserved sizes."""

    async def observe_server(
        self, seen: Observation, *, healthy_threshold: int
    ) -> ObservationResult:
        """Record a successful poll."""

    async def fail_server(
        self, server_id: ServerId, *, now_ms: int, unhealthy_threshold: int, disabled: bool = False
    ) -> FailureResult:
        """Record a failed poll, or a failed look at a disabled server."""

    async def reach_server(self, server_id: ServerId, *, healthy_threshold: int) -> bool:
        """Record that a disabled server answered; return whether it is online again."""

    async def record_version(self, server_id: ServerId, bbb_version: str) -> None:
        """Store a BBB version."""

    async def lease_servers(
        self, instance: str, server_ids: Sequence[ServerId], *, now_ms: int, lease_ms: int
    ) -> list[ServerId]:
        """Claim and renew the right to poll."""

    async def release_leases(self, instance: str, server_ids: Sequence[ServerId]) -> None:
        """Give back what was claimed."""

    async def claim_sweep(self, instance: str, *, lease_ms: int) -> bool:
        """Claim the right to sweep."""

    async def sweep(self, *, now_ms: int, grace_ms: int) -> int:
        """Remove entries that lost what they point to."""


class DialInStore(Protocol):
    """What callers enter."""

    async def find_voice_bridge(
        self, pin: str, parent: str | None, *, caller: str, most_wrong: int, now_ms: int
    ) -> PinLookup:
        """Return the meeting of a pin, or of its parent's number; count a wrong one."""


class PoolStore(MeetingStore, ServerStore, DialInStore, Protocol):
    """Everything that is kept in Redis."""

    async def find_tenant(self, label: str) -> Tenant | None:
        """Return the tenant of a host label."""

    async def ping(self) -> None:
        """Ask for a sign of life."""


class EndedMeetings(Protocol):
    """Meetings that have ended, until their front-ends are as good as told."""

    async def end_meeting(self, call: EndedCall, *, now_ms: int) -> bool:
        """Forget a meeting whose server says that it has ended; False: not that run of it."""

    async def claim(self, *, now_ms: int, at_most: int) -> list[EndedMeeting]:
        """Take on meetings whose front-ends are to be told now; nobody else does for a while."""

    async def drop(self, keys: Sequence[str]) -> None:
        """Forget those that the queue of callbacks has."""


class ServerCaller(Protocol):
    """Calls to BBB servers."""

    async def call(
        self,
        target: Target,
        call: str,
        params: Params,
        *,
        body: RequestBody | None = None,
        deadline_s: float | None = None,
    ) -> Answer:
        """Make a signed call; an answer of returncode FAILED is an answer."""

    async def list_meetings(
        self, target: Target, params: Params = (), *, deadline_s: float | None = None
    ) -> MeetingList:
        """Return all meetings of a server; an answer of returncode FAILED is an answer."""

    async def version(self, target: Target) -> str | None:
        """Return the server's BBB version."""

    def join_url(self, target: Target, params: Params) -> str:
        """Return a signed join URL."""
