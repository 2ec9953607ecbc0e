"""Builds what an inspection of a Scalelite reads from settings and open connections."""

from __future__ import annotations

from appliance.doctor.deps import Probes
from appliance.instruments import Metrics
from appliance.postgres.database import Database
from appliance.redis.store import RedisStores
from appliance.settings import Settings
from appliance.takeover.deps import TakeoverSources
from appliance.takeover.file_survey import FileSurvey
from appliance.takeover.object_survey import ObjectSurvey
from appliance.takeover.pool_survey import PoolSurvey
from appliance.takeover.recording_survey import RecordingSurvey
from appliance.wiring.recordings import open_objects


def _make_survey(settings: Settings, database: Database | None) -> FileSurvey:
    objects = None if database is None else open_objects(settings, Metrics())
    if objects is None:
        return FileSurvey(settings.recordings)
    return ObjectSurvey(settings.recordings, objects)


def make_takeover_sources(
    settings: Settings,
    redis: RedisStores,
    database: Database | None,
    probes: Probes,
) -> TakeoverSources:
    """Return the stores and files that an inspection of a Scalelite reads."""
    return TakeoverSources(
        pool=PoolSurvey(redis.background.client, redis.background.namespace),
        recordings=None if database is None else RecordingSurvey(database),
        files=_make_survey(settings, database),
        ask_server=probes.server,
    )
