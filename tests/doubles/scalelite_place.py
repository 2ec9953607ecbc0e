"""The stores, files and environment of a running Scalelite, for an appliance that takes over.

The stores are those of tests/data/scalelite; the four servers are simulated and have its meetings.
The environment has every variable of Scalelite's documentation.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import redis
import trio

from appliance.redis.client import RedisAddress, open_redis_client
from tests.doubles.appliance_client import Answer, FrontEnd
from tests.doubles.appliance_pool import Keys
from tests.doubles.appliance_process import ApplianceProcess
from tests.doubles.bbb_process import BbbProcess, bbb_servers
from tests.doubles.postgres_layout import Reference, database_faults
from tests.doubles.redis_layout import layout_faults
from tests.doubles.scalelite_data import write_scalelite_data
from tests.doubles.scalelite_files import DUMP, directory_variables, make_scalelite_files
from tests.doubles.store_servers import PostgresServer, RedisServer

SCHOOL, UNI = "588d7588-5557-41f9-9533-a75d5f42cb21", "981810d6-1b91-4022-9f8d-71c128cd378e"
BBB1, BBB2, BBB3 = (f"bbb{number}.example.org" for number in (1, 2, 3))
OLD_SERVER = "103673c2-dc39-45c5-9fd2-59d1cd2489fa"
SERVER_IDS = (BBB1, BBB2, BBB3, OLD_SERVER)
HOST = "bbb.example.org"
FSAPI_PASSWORD = "fsapi-password-of-scalelite"

ENVIRONMENT: Mapping[str, str] = {
    "URL_HOST": HOST,
    "BASE_URL": HOST,
    "SECRET_KEY_BASE": "0123456789abcdef" * 8,
    "LOADBALANCER_SECRET": "4f0f0c5dd2ae0d4d6c6f1a0c9d9df6392f79589bd58be020ed14535aa0011223",
    "LOADBALANCER_SECRETS": "second-secret-of-scalelite:third-secret-of-scalelite",
    "LOADBALANCER_CHECKSUM_ALGORITHM": "SHA1:SHA256:SHA512",
    "NGINX_SSL": "true",
    "NGINX_BEHIND_PROXY": "true",
    "NGINX_RECORDINGS_ONLY": "false",
    "POLL_INTERVAL": "600",
    "INTERVAL": "60",
    "RECORDING_IMPORT_POLL": "true",
    "RECORDING_IMPORT_POLL_INTERVAL": "60",
    "PORT": "3000",
    "SCALELITE_API_PORT": "3000",
    "WEB_CONCURRENCY": "2",
    "RAILS_MAX_THREADS": "5",
    "RAILS_MIN_THREADS": "5",
    "RAILS_ENV": "production",
    "RAILS_LOG_TO_STDOUT": "true",
    "RAILS_LOG_LEVEL": "debug",
    "BUILD_NUMBER": "v1.6.1",
    "REDIS_POOL": "5",
    "MAX_MEETING_DURATION": "480",
    "SERVER_HEALTHY_THRESHOLD": "1",
    "SERVER_UNHEALTHY_THRESHOLD": "2",
    "SERVER_ID_IS_HOSTNAME": "true",
    "DB_DISABLED": "false",
    "DB_CONNECTION_RETRY_COUNT": "3",
    "PREPARED_STATEMENT": "true",
    "RECORDING_DISABLED": "false",
    "RECORDING_IMPORT_UNPUBLISHED": "false",
    "RECORDING_PLAYBACK_FORMATS": "presentation:video:podcast:notes:capture",
    "PROTECTED_RECORDINGS_ENABLED": "true",
    "PROTECTED_RECORDINGS_TOKEN_TIMEOUT": "60",
    "PROTECTED_RECORDINGS_TIMEOUT": "360",
    "GET_MEETINGS_API_DISABLED": "false",
    "GET_RECORDINGS_API_FILTERED": "false",
    "POLLER_THREADS": "5",
    "POLLER_WAIT_TIMEOUT": "10",
    "CONNECT_TIMEOUT": "2.5",
    "RESPONSE_TIMEOUT": "5",
    "LOAD_MIN_USER_COUNT": "15",
    "LOAD_JOIN_BUFFER_TIME": "15",
    "CREATE_EXCLUDE_PARAMS": "webcamsOnlyForModerator,copyright",
    "JOIN_EXCLUDE_PARAMS": "userdata-bbb_custom_style",
    "DEFAULT_CREATE_PARAMS": "muteOnStart=true,meetingLayout=SMART_LAYOUT",
    "OVERRIDE_CREATE_PARAMS": "allowModsToUnmuteUsers=false",
    "DEFAULT_JOIN_PARAMS": "userdata-bbb_skip_check_audio=true",
    "OVERRIDE_JOIN_PARAMS": "userdata-bbb_show_public_chat_on_login=false",
    "DEFAULT_LOCALE": "en",
    "VOICE_BRIDGE_LEN": "9",
    "USE_EXTERNAL_VOICE_BRIDGE": "false",
    "FSAPI_PASSWORD": FSAPI_PASSWORD,
    "FSAPI_MAX_DURATION": "240",
    "MULTITENANCY_ENABLED": "true",
    "SCALELITE_TAG": "v1.6",
    "SCALELITE_RECORDING_DIR": "/mnt/scalelite-recordings/var/bigbluebutton",
}
"""Without the stores and directories, which scalelite_place adds."""


class TenantFront(FrontEnd):
    """The front-end of a tenant, which calls the tenant's host."""

    def __init__(self, port: int, secret: str, tenant: str) -> None:
        super().__init__(port, secret)
        self.host = f"{tenant}.{HOST}"

    def get(self, call: str, **params: str) -> Answer:
        """Make a signed GET call to the tenant's host."""
        return self.fetch("GET", self.target(call, params), headers={"Host": self.host})

    def open(self, target: str, **headers: str) -> Answer:
        """Get a page of the tenant's host."""
        return self.fetch("GET", target, headers={"Host": self.host, **headers})


@dataclass(slots=True)
class Place:
    """The stores, files, servers and environment of a Scalelite."""

    root: Path
    namespace: str
    database: str
    redis_server: RedisServer
    postgres: PostgresServer
    servers: dict[str, BbbProcess]
    environ: dict[str, str]
    reference: Reference
    keys: Keys = field(init=False)

    def __post_init__(self) -> None:
        self.keys = Keys(self.redis_server.socket_path, self.namespace)

    def sql(self, statements: str) -> str:
        """Run SQL on the database."""
        return self.postgres.sql(statements, self.database)

    def multi(self, *commands: tuple[str, ...]) -> None:
        """Run commands in a MULTI; the second word of each is a key."""
        path = str(self.redis_server.socket_path)
        with redis.Redis(unix_socket_path=path, decode_responses=True) as client:
            pipeline = client.pipeline(transaction=True)
            for name, key, *rest in commands:
                pipeline.execute_command(name, f"{self.namespace}:{key}", *rest)
            pipeline.execute()

    def faults(self, *, loose_ends: bool = False) -> list[str]:
        """Return the deviations in both stores that would disturb a Scalelite."""
        url, namespace = self.redis_server.url, self.namespace

        async def check_redis() -> list[str]:
            with trio.fail_after(30):
                async with open_redis_client(RedisAddress(url)) as client:
                    await client.wait_connected()
                    return await layout_faults(client, namespace, loose_ends=loose_ends)

        return [*trio.run(check_redis), *database_faults(self.sql, self.reference)]


@contextmanager
def scalelite_place(
    redis_server: RedisServer, postgres_server: PostgresServer, root: Path
) -> Iterator[Place]:
    """Create stores and files, and start the servers with their meetings."""
    namespace = f"t{uuid.uuid4().hex[:12]}"
    with postgres_server.new_database() as database, bbb_servers(4) as started:
        servers = dict(zip(SERVER_IDS, started, strict=True))
        values = write_scalelite_data(redis_server.socket_path, namespace, servers)
        postgres_server.sql(DUMP.read_text(), database)
        make_scalelite_files(root)
        stores = {
            "REDIS_URL": redis_server.url,
            "REDIS_NAMESPACE": namespace,
            "DATABASE_URL": postgres_server.url(database),
        }
        environ = {**ENVIRONMENT, **stores, **directory_variables(root)}
        reference = Reference.take(partial(_ask, postgres_server, database))
        place = Place(
            *(root, namespace, database, redis_server, postgres_server, servers),
            *(environ, reference),
        )
        for key, meeting in values.items():
            if key.startswith("meeting:"):
                bbb = servers[meeting["server_id"]]
                bbb.create_meeting(
                    key.removeprefix("meeting:"),
                    moderatorPW=meeting["moderator_pw"],
                    attendeePW="ap",
                    voiceBridge=meeting["voice_bridge"],
                    **{"meta_tenant-id": meeting["tenant_id"]},
                )
        yield place


def _ask(server: PostgresServer, database: str, sql: str) -> str:
    return server.sql(sql, database)


@contextmanager
def taken_over(place: Place, directory: Path) -> Iterator[ApplianceProcess]:
    """Run an appliance in the place of the Scalelite."""
    with ApplianceProcess(directory, LOG_LEVEL=None, **place.environ) as appliance:
        appliance.sensitive.update(bbb.secret for bbb in place.servers.values())
        appliance.sensitive.update({"schoolsecret", "unisecret", "lrspass", FSAPI_PASSWORD})
        appliance.wait_event("database_ready", 30)
        yield appliance
