"""Puts together what the work on recordings needs, of settings and an open database.

Composition only, for the supervisor, of which it is a part: no rule, no service of its own.
"""

from __future__ import annotations

from appliance.doctor.ports import Probes
from appliance.instruments import Metrics
from appliance.log import Log
from appliance.postgres.database import PostgresStore
from appliance.recordings.admin_store import RecordingTable
from appliance.recordings.administration_ports import RecordingDesk
from appliance.recordings.change_notes import ChangeNotes
from appliance.recordings.file_locations import RecordingPlaces
from appliance.recordings.files import RecordingFiles
from appliance.recordings.import_history import ImportHistory
from appliance.recordings.import_journal import ImportJournal
from appliance.recordings.importer import Importer
from appliance.recordings.manual_imports import HandImports
from appliance.recordings.merge import ImportRules
from appliance.recordings.spool import Spool
from appliance.recordings.spool_admin import SpoolDesk
from appliance.recordings.spool_watcher import SpoolWatcher
from appliance.recordings.store import RecordingStore
from appliance.redis_store import RedisStore
from appliance.settings import Settings
from appliance.settings.model import RecordingSettings
from appliance.system.inotify import open_directory_watch
from appliance.takeover.file_survey import SurveyFiles
from appliance.takeover.ports import TakeoverSources
from appliance.takeover.recording_survey import RecordingSurvey
from appliance.takeover.redis_survey import RedisSurvey


def make_recording_desk(
    settings: Settings,
    database: PostgresStore,
    journal: ImportJournal,
    hand_imports: HandImports,
    metrics: Metrics,
    log: Log,
) -> RecordingDesk:
    """Return what an operator's work on recordings needs, the importer included."""
    recordings = settings.recordings
    importer = Importer(
        journal=journal,
        recordings=RecordingStore(database),
        spool=Spool(recordings),
        files=RecordingFiles(recordings),
        rules=ImportRules(recordings.import_unpublished, settings.protected.enabled),
        log=log,
        notes=ChangeNotes(recordings),
        metrics=metrics,
    )
    return RecordingDesk(
        table=RecordingTable(database),
        history=ImportHistory(database),
        spool=SpoolDesk(recordings),
        places=RecordingPlaces(recordings),
        importer=importer,
        start=hand_imports.start,
    )


def make_spool_watcher(recordings: RecordingSettings, importer: Importer, log: Log) -> SpoolWatcher:
    """Return what has tars of the spool imported."""
    return SpoolWatcher(
        tools=importer,
        spool=Spool(recordings),
        trash=RecordingFiles(recordings),
        open_watch=open_directory_watch,
        log=log,
        scan_interval_s=recordings.import_poll_interval_s,
        concurrency=recordings.import_concurrency,
        scan=recordings.import_poll,
    )


def make_takeover_sources(
    settings: Settings,
    store: RedisStore,
    database: PostgresStore | None,
    probes: Probes | None,
) -> TakeoverSources:
    """Return what of a Scalelite there is to look at."""
    assert probes is not None
    return TakeoverSources(
        pool=RedisSurvey(store.bulk, store.namespace),
        recordings=None if database is None else RecordingSurvey(database),
        files=SurveyFiles(settings.recordings),
        ask_server=probes.server,
    )
