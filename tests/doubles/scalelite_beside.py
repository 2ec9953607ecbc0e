"""A Scalelite on the same stores, as during a rolling migration.

Writes what Scalelite writes, in the same order and transactions. Source: Scalelite's models Server,
Meeting and Tenant, its poller and its importer.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.doubles.scalelite_place import Place

MEETING_TTL_S = 86400


@dataclass(frozen=True, slots=True)
class ScaleliteBeside:
    """The writes of a Scalelite on the stores of a Place."""

    place: Place

    # -- its poller -------------------------------------------------------------------------------

    def poll(self, server_id: str, load: float, meetings: int, users: int) -> None:
        """Write the result of a successful poll of an enabled server."""
        self.place.multi(("HSET", server_id, "unhealthy_counter", "0"))
        self.place.multi(
            ("HSET", f"server:{server_id}", "meetings", str(meetings)),
            ("HSET", f"server:{server_id}", "users", str(users)),
            ("HSET", f"server:{server_id}", "largest_meeting", str(users)),
            ("HSET", f"server:{server_id}", "videos", "0"),
            ("ZADD", "server_load", str(load), server_id),
        )

    def lose(self, server_id: str) -> None:
        """Write the result of the poll that takes a server offline, its meetings first."""
        self.place.multi(("HSET", server_id, "healthy_counter", "0"))
        self.place.multi(("HINCRBY", server_id, "unhealthy_counter", "1"))
        for meeting_id in self.place.keys.ask("SMEMBERS", "meetings"):
            key = f"meeting:{meeting_id}"
            if self.place.keys.ask("HGET", key, "server_id") == server_id:
                self.forget(meeting_id)
        self.place.multi(
            ("HSET", server_id, "healthy_counter", "0", "unhealthy_counter", "0"),
        )
        key = f"server:{server_id}"
        self.place.multi(
            ("HSET", key, "online", "false"),
            *(("HSET", key, name, "0") for name in ("meetings", "users")),
            *(("HSET", key, name, "0") for name in ("largest_meeting", "videos")),
            ("ZREM", "server_load", server_id),
        )

    def forget(self, meeting_id: str) -> None:
        """Remove an ended meeting; its voice bridge number leaks."""
        self.place.multi(("DEL", f"meeting:{meeting_id}"), ("SREM", "meetings", meeting_id))

    # -- its administration -----------------------------------------------------------------------

    def add_server(self, server_id: str, url: str, secret: str) -> None:
        """Add a server, disabled."""
        key = f"server:{server_id}"
        self.place.multi(
            ("HSET", key, "url", url),
            ("HSET", key, "secret", secret),
            ("HSET", key, "online", "false"),
            ("HSET", key, "load_multiplier", "1.0"),
            ("HSET", key, "state", "disabled"),
            ("SADD", "servers", server_id),
            ("SREM", "server_enabled", server_id),
            ("ZREM", "server_load", server_id),
            ("ZREM", "cordoned_server_load", server_id),
        )

    def enable(self, server_id: str) -> None:
        """Enable a server."""
        self.place.multi(
            ("HSET", f"server:{server_id}", "state", "enabled"),
            ("SADD", "server_enabled", server_id),
            ("ZREM", "cordoned_server_load", server_id),
        )

    def cordon(self, server_id: str) -> None:
        """Cordon a server that has load."""
        load = self.place.keys.ask("ZSCORE", "server_load", server_id)
        self.place.multi(
            ("HSET", f"server:{server_id}", "state", "cordoned"),
            ("ZADD", "cordoned_server_load", load, server_id),
            ("ZREM", "server_load", server_id),
            ("SREM", "server_enabled", server_id),
        )

    def disable(self, server_id: str) -> None:
        """Disable a server."""
        self.place.multi(
            ("HSET", f"server:{server_id}", "state", "disabled"),
            ("SREM", "server_enabled", server_id),
            ("ZREM", "server_load", server_id),
            ("ZREM", "cordoned_server_load", server_id),
        )

    def remove_server(self, server_id: str) -> None:
        """Remove a server; its counters remain."""
        self.place.multi(
            ("DEL", f"server:{server_id}"),
            ("SREM", "servers", server_id),
            ("ZREM", "server_load", server_id),
            ("SREM", "server_enabled", server_id),
            ("ZREM", "cordoned_server_load", server_id),
        )

    def add_tenant(self, tenant_id: str, name: str, secrets: str) -> None:
        """Add a tenant."""
        self.place.multi(
            ("HSET", f"tenant_name:{name}", "id", tenant_id),
            ("HSET", f"tenant:{tenant_id}", "name", name),
            ("HSET", f"tenant:{tenant_id}", "secrets", secrets),
            ("SADD", "tenants", tenant_id),
        )

    def rename_tenant(self, tenant_id: str, old: str, new: str) -> None:
        """Rename a tenant."""
        self.place.multi(
            ("HSET", f"tenant_name:{new}", "id", tenant_id),
            ("DEL", f"tenant_name:{old}"),
            ("HSET", f"tenant:{tenant_id}", "name", new),
        )

    # -- its API ----------------------------------------------------------------------------------

    def reserve_number(self, meeting_id: str, number: str) -> None:
        """Reserve a voice bridge number: the first write of a create."""
        self.place.keys.ask("HSETNX", "voice_bridges", number, meeting_id)

    def write_meeting(self, meeting_id: str, server_id: str, number: str, tenant_id: str) -> None:
        """Write the record: the second write of a create, before the call to the server."""
        key = f"meeting:{meeting_id}"
        self.place.multi(
            ("HSETNX", key, "server_id", server_id),
            ("HSETNX", key, "moderator_pw", f"mp-{meeting_id}"),
            ("HSETNX", key, "voice_bridge", number),
            ("HSETNX", key, "tenant_id", tenant_id),
            ("EXPIRE", key, str(MEETING_TTL_S)),
            ("HGETALL", key),
            ("SADD", "meetings", meeting_id),
        )
        self.place.multi(("ZINCRBY", "server_load", "1", server_id))

    def ask_server(self, meeting_id: str, server_id: str, number: str, tenant_id: str) -> None:
        """Create the meeting on the server: the last step of a create."""
        self.place.servers[server_id].create_meeting(
            meeting_id,
            moderatorPW=f"mp-{meeting_id}",
            attendeePW="ap",
            voiceBridge=number,
            **{"meta_tenant-id": tenant_id},
        )

    def find_meeting(self, meeting_id: str) -> dict[str, str]:
        """Read a meeting like Scalelite's join, for which an unknown field is an error."""
        flat = self.place.keys.ask("HGETALL", f"meeting:{meeting_id}")
        pairs = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
        found: dict[str, str] = pairs
        assert found, "Couldn't find Meeting"
        assert set(found) <= {"server_id", "moderator_pw", "voice_bridge", "tenant_id"}
        return found

    # -- its importer -----------------------------------------------------------------------------

    def import_recording(self, record_id: str, meeting_id: str, tenant_id: str) -> None:
        """Write the rows of an import, then the files."""
        self.place.sql(
            "BEGIN; INSERT INTO recordings (record_id, meeting_id, name, published, participants,"
            " state, starttime, endtime)"
            f" VALUES ('{record_id}', '{meeting_id}', 'By Scalelite', true, 3, 'published',"
            " '2026-11-01 10:00:00', '2026-11-01 11:00:00');"
            " INSERT INTO metadata (recording_id, key, value)"
            f" SELECT id, 'tenant-id', '{tenant_id}' FROM recordings"
            f" WHERE record_id = '{record_id}';"
            " INSERT INTO playback_formats (recording_id, format, url, length)"
            f" SELECT id, 'video', '/video/{record_id}/', 60 FROM recordings"
            f" WHERE record_id = '{record_id}'; COMMIT"
        )
        self.place.sql(f"UPDATE recordings SET published = true WHERE record_id = '{record_id}'")
        folder = self.place.root / "published" / "video" / record_id
        folder.mkdir(parents=True)
        (folder / "index.html").write_text("played")
