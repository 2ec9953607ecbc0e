"""Puts together what the work on recordings needs, of settings and an open database.

Composition only, for the supervisor, of which it is a part: no rule, no service of its own.
"""

from __future__ import annotations

from appliance.adapters.change_notes import ChangeNotes
from appliance.adapters.import_history import ImportHistory
from appliance.adapters.import_journal import ImportJournal
from appliance.adapters.inotify import open_directory_watch
from appliance.adapters.postgres_store import PostgresStore
from appliance.adapters.recording_files import RecordingFiles
from appliance.adapters.recording_places import RecordingPlaces
from appliance.adapters.recording_store import RecordingStore
from appliance.adapters.recording_survey import RecordingSurvey
from appliance.adapters.recording_table import RecordingTable
from appliance.adapters.redis_store import RedisStore
from appliance.adapters.redis_survey import RedisSurvey
from appliance.adapters.spool import Spool
from appliance.adapters.spool_desk import SpoolDesk
from appliance.adapters.survey_files import SurveyFiles
from appliance.core.recording_merge import ImportRules
from appliance.log import Log
from appliance.operations.doctor_ports import Probes
from appliance.operations.imports import Importer
from appliance.operations.metrics import Metrics
from appliance.operations.recording_admin_ports import RecordingDesk
from appliance.operations.takeover_ports import TakeoverSources
from appliance.settings import Settings
from appliance.settings.model import RecordingSettings
from appliance.tasks.hand_imports import HandImports
from appliance.tasks.spool_watcher import SpoolWatcher


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
