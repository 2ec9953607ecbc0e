"""What every operation is handed: the stores, the settings, the clock, the dice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance.callbacks.analytics_ports import AnalyticsFiles
from appliance.callbacks.hook_cache import HookBook
from appliance.callbacks.hook_ports import HookStore
from appliance.callbacks.ports import CallbackQueue, CallbackUrls
from appliance.doctor.ports import Probes
from appliance.fault_log import FaultLog
from appliance.instruments import Metrics
from appliance.log import Log
from appliance.model import ServerId, Tenant, TenantId
from appliance.ports import EndedMeetings, PoolStore, ServerCaller
from appliance.recordings.administration_ports import RecordingDesk
from appliance.recordings.import_ports import Uploads, WaitingTars
from appliance.recordings.playback_ports import ServedFiles
from appliance.recordings.ports import (
    CaptionFiles,
    ChangeNotes,
    PlaybackTokens,
    RecordingFiles,
    RecordingStore,
)
from appliance.settings import Settings
from appliance.takeover.ports import TakeoverSources
from appliance.tenants.administration_ports import TenantStore
from appliance.tenants.cache import TenantCache
from appliance.tenants.lrs import LrsPayloads


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything an operation may touch. Made once, by the supervisor."""

    settings: Settings
    store: PoolStore
    bbb: ServerCaller
    tenants: TenantCache
    tenant_store: TenantStore
    """For administration; requests ask `tenants`."""
    faults: FaultLog
    log: Log
    now_ms: Callable[[], int]
    """Milliseconds since the epoch."""
    tie: Callable[[], float]
    """A random number, 0 <= x < 1."""
    new_password: Callable[[], str]
    """8 random letters and digits."""
    later: Callable[[Callable[..., Awaitable[Any]], *tuple[Any, ...]], None]
    poll_soon: Callable[[ServerId], None]
    """Ask the poller to look at a server now."""
    instance: str
    """Names this process among the appliances on the same stores."""
    callbacks: CallbackQueue
    """Calls to front-ends; what is put here is sent, now or later."""
    callback_urls: CallbackUrls
    """Who wants to be called about which meeting."""
    ended: EndedMeetings
    """Meetings whose end is still to be told."""
    hooks: HookStore
    """Web hooks, as front-ends have registered them."""
    hook_book: HookBook
    """The hooks as last read, for who must not ask the store."""
    lrs: LrsPayloads | None = None
    """None: without multitenancy nobody has an LRS."""
    recordings: RecordingStore | None = None
    """None: DB_DISABLED or RECORDING_DISABLED."""
    files: RecordingFiles | None = None
    change_notes: ChangeNotes | None = None
    """None: files are not on a disk of ours."""
    captions: CaptionFiles | None = None
    tokens: PlaybackTokens | None = None
    uploads: Uploads | None = None
    """None: no imports here."""
    desk: RecordingDesk | None = None
    """An operator's work on recordings; None: there are none here."""
    waiting: WaitingTars | None = None
    takeover: TakeoverSources | None = None
    """What of a Scalelite there is to look at."""
    served: ServedFiles | None = None
    """None: nothing is played here."""
    metrics: Metrics = field(default_factory=Metrics)
    analytics_files: AnalyticsFiles | None = None
    """None: ANALYTICS_STORE is off."""
    probes: Probes | None = None
    """Where doctor looks; None: it does not."""
    secret_key_base: str = field(default="", repr=False)
    """Signs what opens protected recordings; as configured, else as made in STATE_DIR."""
    error_texts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Texts of the error pages in the language of the appliance."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is: a tenant's, or with multitenancy off nobody's in particular."""

    tenant: Tenant | None = None
    base_url: str = ""
    """Scheme and host by which we were asked, `https://bbb.example.org`; URLs of ours begin so."""

    @property
    def tenant_id(self) -> TenantId | None:
        """Return the tenant's id, None without tenants."""
        return self.tenant.id if self.tenant else None
