"""Puts together what every operation is handed (resources.py).

Composition only: no rule, no service.
"""

from __future__ import annotations

import random
import secrets
import string

from appliance.callbacks.analytics_files import AnalyticsFiles
from appliance.callbacks.ended_store import RedisEndedMeetings
from appliance.callbacks.hook_cache import HookBook
from appliance.callbacks.hook_store import RedisHooks
from appliance.callbacks.queue import Callbacks
from appliance.callbacks.sender import CallbackSender
from appliance.fault_log import FaultLog
from appliance.log import EventLogger
from appliance.recordings.caption_files import CaptionFiles
from appliance.recordings.change_notes import ChangeNotes
from appliance.recordings.files import RecordingFiles
from appliance.recordings.playback_tokens import RedisTokens
from appliance.recordings.served_files import ServedFiles
from appliance.recordings.spool import Spool
from appliance.recordings.store import RecordingStore
from appliance.resources import Resources
from appliance.servers.poller import Poller
from appliance.settings import Settings
from appliance.system.background import Background
from appliance.system.locale_files import load_error_texts
from appliance.system.state_secrets import load_secret_key_base
from appliance.tenants.admin_store import RedisTenants
from appliance.tenants.cache import TenantCache
from appliance.tenants.lrs import LrsPayloads
from appliance.tenants.token_client import TokenClient
from appliance.wiring.connections import Outside, now_ms
from appliance.wiring.probes import make_probes


def make_resources(
    settings: Settings,
    outside: Outside,
    background: Background,
    poller: Poller,
    sender: CallbackSender,
    log: EventLogger,
) -> Resources:
    store, hooks = outside.store, RedisHooks(outside.store)
    state_dir = settings.stores.state_dir
    faults, connect_s = FaultLog(log, now_ms), settings.servers.connect_timeout_s
    issuer = TokenClient(outside.http, connect_s)
    return Resources(
        settings=settings,
        store=store,
        bbb=outside.bbb,
        tenants=TenantCache(store, now_ms),
        tenant_store=RedisTenants(store.bulk, store.namespace, store.scripts),
        faults=faults,
        lrs=LrsPayloads(issuer, faults, deadline_s=connect_s, random_bytes=secrets.token_bytes),
        log=log,
        now_ms=now_ms,
        tie=random.random,
        new_password=_new_password,
        later=background.later,
        poll_soon=poller.poll_soon,
        instance=secrets.token_hex(8),
        callbacks=Callbacks(outside.callbacks.stores, sender.wake, log),
        callback_urls=outside.callbacks.urls,
        ended=RedisEndedMeetings(store),
        hooks=hooks,
        analytics_files=AnalyticsFiles(state_dir) if settings.analytics_store else None,
        hook_book=HookBook(hooks, multitenancy=settings.api.multitenancy),
        recordings=None if outside.recordings is None else RecordingStore(outside.recordings),
        files=RecordingFiles(settings.recordings),
        change_notes=ChangeNotes(settings.recordings),
        uploads=None if outside.recordings is None else Spool(settings.recordings),
        waiting=None if outside.recordings is None else Spool(settings.recordings),
        captions=CaptionFiles(),
        tokens=RedisTokens(
            store.client,
            settings.stores.redis_namespace,
            settings.protected.token_timeout_s,
        ),
        served=ServedFiles(settings.recordings),
        metrics=outside.metrics,
        probes=make_probes(store, outside.recordings, outside.http, outside.bbb, now_ms),
        secret_key_base=settings.secret_key_base or load_secret_key_base(state_dir),
        error_texts=load_error_texts(settings.locale, log),
    )


def _new_password() -> str:
    letters = string.ascii_letters + string.digits
    return "".join(secrets.choice(letters) for _ in range(8))
