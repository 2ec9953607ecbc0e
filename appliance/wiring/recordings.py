"""Builds the dependencies of recordings from settings and open connections."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from appliance.callbacks.deps import CallbackDeps
from appliance.http.client.pool import PoolTransport
from appliance.http.page_texts import load_page_texts
from appliance.instruments import S3_REASONS, Metrics
from appliance.log import Log
from appliance.postgres.database import Database
from appliance.recordings.admin_store import RecordingTable
from appliance.recordings.change_notes import ChangeNotes
from appliance.recordings.deps import RecordingAdmin, RecordingDeps
from appliance.recordings.files import RecordingFiles
from appliance.recordings.imports.deps import Importer
from appliance.recordings.imports.history import ImportHistory
from appliance.recordings.imports.journal import ImportJournal
from appliance.recordings.imports.merge import ImportRules
from appliance.recordings.imports.spool import Spool
from appliance.recordings.imports.spool_admin import SpoolAdmin
from appliance.recordings.imports.spool_watcher import SpoolWatcher
from appliance.recordings.jobs import RecordingJobs
from appliance.recordings.objects.bucket import Bucket
from appliance.recordings.objects.bucket_client import check_boto3
from appliance.recordings.objects.journal import ObjectJournal
from appliance.recordings.objects.keys import ObjectKeys
from appliance.recordings.objects.mixed_storage import MixedStorage
from appliance.recordings.objects.objects import RecordingObjects
from appliance.recordings.objects.work import ObjectWork
from appliance.recordings.objects.worker import ObjectWorker
from appliance.recordings.playback.from_bucket import ObjectPlayback
from appliance.recordings.playback.served_files import ServedFiles
from appliance.recordings.playback.tokens import PlaybackTokens
from appliance.recordings.player.source import PlayerSource
from appliance.recordings.storage import Storage
from appliance.recordings.store import RecordingStore
from appliance.recordings.uploads.refused import RefusedUploads
from appliance.redis.store import RedisStore
from appliance.settings import Settings
from appliance.settings.model import RecordingSettings
from appliance.system.inotify import open_directory_watch


def make_recording_deps(
    callbacks: CallbackDeps,
    database: Database | None,
    redis: RedisStore,
    jobs: RecordingJobs,
    metrics: Metrics,
    http: PoolTransport,
) -> RecordingDeps:
    """Return the dependencies of recordings. `database` is None if it is disabled.

    Raises Boto3Missing.
    """
    settings, log = callbacks.settings, callbacks.log
    store = None if database is None else RecordingStore(database)
    files: Storage = RecordingFiles(settings.recordings)
    objects = None if database is None else open_objects(settings, metrics)
    if objects is not None:
        objects.worker = ObjectWorker(log, count_faults(metrics))
        files = MixedStorage(objects, RecordingFiles(settings.recordings))
    return RecordingDeps(
        settings=settings,
        log=log,
        faults=callbacks.faults,
        now_ms=callbacks.now_ms,
        later=callbacks.later,
        pool=callbacks.pool,
        tenants=callbacks.tenants,
        callbacks=callbacks,
        refused=RefusedUploads(redis),
        store=store,
        files=files,
        work=(
            None
            if database is None or store is None or objects is None
            else _make_object_work(callbacks, database, store, objects)
        ),
        objects=None if objects is None else ObjectPlayback(objects, settings.s3),
        change_notes=ChangeNotes(settings.recordings),
        tokens=PlaybackTokens(redis, settings.protected.token_timeout_s),
        spool=None if database is None else Spool(settings.recordings),
        admin=(
            None
            if database is None or store is None
            else _make_admin(callbacks, database, store, files, jobs, metrics)
        ),
        served=ServedFiles(settings.recordings),
        player=PlayerSource(http, callbacks.now_ms),
        secret_key_base=callbacks.secret_key_base,
        error_texts=load_page_texts(log),
    )


def open_objects(settings: Settings, metrics: Metrics) -> RecordingObjects | None:
    """Return the objects of recordings; None: they are stored on the disk. Raises Boto3Missing."""
    if not settings.s3.enabled:
        return None
    check_boto3()
    bucket = Bucket(settings.s3, count_faults(metrics))
    return RecordingObjects(bucket, ObjectKeys(settings.s3.prefix))


def count_faults(metrics: Metrics) -> Callable[[str], None]:
    """Return a function that counts the errors of a bucket; any thread may call it."""
    lock = Lock()

    def count(code: str) -> None:
        with lock:
            metrics.s3_errors.add(code if code in S3_REASONS else "other")

    return count


def _make_object_work(
    callbacks: CallbackDeps, database: Database, store: RecordingStore, objects: RecordingObjects
) -> ObjectWork:
    return ObjectWork(
        journal=ObjectJournal(database),
        recordings=store,
        objects=objects,
        log=callbacks.log,
        faults=callbacks.faults,
        sweep_interval_s=callbacks.settings.s3.sweep_interval_s,
    )


def _make_admin(
    callbacks: CallbackDeps,
    database: Database,
    store: RecordingStore,
    files: Storage,
    jobs: RecordingJobs,
    metrics: Metrics,
) -> RecordingAdmin:
    settings, log = callbacks.settings, callbacks.log
    recordings = settings.recordings
    worker = files.objects.worker if isinstance(files, MixedStorage) else None
    importer = Importer(
        # One store, so that a listing after an import is not that of before.
        journal=ImportJournal(database, store, log, urls=callbacks.urls, wake=callbacks.queue.wake),
        recordings=store,
        spool=Spool(recordings, worker=worker),
        files=files,
        rules=ImportRules(recordings.import_unpublished, settings.protected.enabled),
        log=log,
        notes=ChangeNotes(recordings),
        metrics=metrics,
        in_bucket=settings.s3.enabled,
    )
    return RecordingAdmin(
        table=RecordingTable(database),
        history=ImportHistory(database),
        spool=SpoolAdmin(recordings),
        importer=importer,
        jobs=jobs,
    )


def make_spool_watcher(recordings: RecordingSettings, importer: Importer, log: Log) -> SpoolWatcher:
    """Return the task that imports the tars of the spool."""
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
