"""Puts together what every operation is handed (operations/resources.py).

Composition only: no rule, no service.
"""

from __future__ import annotations

import random
import secrets
import string

from appliance.adapters.analytics_files import AnalyticsFiles
from appliance.adapters.caption_files import CaptionFiles
from appliance.adapters.change_notes import ChangeNotes
from appliance.adapters.locale_files import load_error_texts
from appliance.adapters.recording_files import RecordingFiles
from appliance.adapters.recording_store import RecordingStore
from appliance.adapters.redis_ended import RedisEndedMeetings
from appliance.adapters.redis_hooks import RedisHooks
from appliance.adapters.redis_tenants import RedisTenants
from appliance.adapters.redis_tokens import RedisTokens
from appliance.adapters.served_files import ServedFiles
from appliance.adapters.spool import Spool
from appliance.adapters.state_secrets import load_secret_key_base
from appliance.adapters.token_client import TokenClient
from appliance.log import EventLogger
from appliance.operations.callbacks import Callbacks
from appliance.operations.fault_log import FaultLog
from appliance.operations.hook_book import HookBook
from appliance.operations.lrs import LrsPayloads
from appliance.operations.resources import Resources
from appliance.operations.tenants import TenantCache
from appliance.settings import Settings
from appliance.tasks.background import Background
from appliance.tasks.callback_sender import CallbackSender
from appliance.tasks.poller import Poller
from appliance.wiring.outside import Outside, now_ms
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
